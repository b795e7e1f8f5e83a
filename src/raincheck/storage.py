"""Where operations, files and hints of one process go: what the ``store`` setting chooses, opened together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from raincheck.locations import Memory, PostgresDatabase, SqliteFile
from raincheck.stores.blobs import LocalBlobs
from raincheck.stores.memory import MemoryStore
from raincheck.stores.memory_overview import MemoryOverview
from raincheck.stores.no_liveness import NoLiveness
from raincheck.stores.sqlite import SqliteStore
from raincheck.stores.sqlite.liveness import FileLiveness
from raincheck.stores.sqlite.overview import SqliteOverview
from raincheck.stores.sqlite.store import side_folder

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable

    from raincheck.locations import Location
    from raincheck.ports import BlobStore, Liveness, OverviewStore, Signals

    Timed = Callable[[float, int], None] | None


@dataclass(frozen=True, slots=True)
class Storage:
    """What one process works on.

    :param store: implements OperationStore, EventStore, TicketStore and DeliveryStore.
    :param overview: reads the same records for the operator's page.
    :param signals: hints of other processes; None where there are no others.
    :param clock: the time by which all processes on the same data judge leases.
    """

    store: Any
    overview: OverviewStore
    blobs: BlobStore
    liveness: Liveness
    signals: Signals | None
    clock: Callable[[], datetime]


async def open_storage(
    location: Location,
    stack: contextlib.AsyncExitStack,
    *,
    timed: Callable[[float, int], None] | None = None,
) -> Storage:
    """Open the store; the stack closes it.

    :param timed: told of each transaction how many seconds it took and how many writes shared it, from any thread.
    :raises StoreError: it cannot be used; the message says why and what to do.
    :raises ConfigurationError: its driver is not installed.
    """
    storage = _chosen(location, stack, timed)
    await storage.store.open()
    stack.push_async_callback(storage.store.close)
    await storage.overview.open()
    stack.push_async_callback(storage.overview.close)
    return storage


def _chosen(location: Location, stack: contextlib.AsyncExitStack, timed: Timed) -> Storage:
    match location:
        case Memory():
            return _memory(stack)
        case SqliteFile(path):
            return _sqlite(path, timed)
        case PostgresDatabase():
            return _postgres(location, stack, timed)


def _memory(stack: contextlib.AsyncExitStack) -> Storage:
    folder = _temporary(stack)
    store = MemoryStore()
    liveness = FileLiveness(folder / "workers")
    return Storage(store, MemoryOverview(store), LocalBlobs(folder / "blobs"), liveness, None, _now)


def _sqlite(path: Path, timed: Timed) -> Storage:
    path = path.absolute()  # connections are opened later too, when a function may have changed the working directory
    store = SqliteStore(path, timed=timed)
    folder = side_folder(path)
    liveness = FileLiveness(folder / "workers")
    return Storage(store, SqliteOverview(path), LocalBlobs(folder / "blobs"), liveness, store, _now)


def _postgres(database: PostgresDatabase, stack: contextlib.AsyncExitStack, timed: Timed) -> Storage:
    from raincheck.signals.postgres import PostgresSignals  # noqa: PLC0415 - only stores in PostgreSQL need these
    from raincheck.stores.postgres import PostgresStore  # noqa: PLC0415
    from raincheck.stores.postgres.blobs import PostgresBlobs  # noqa: PLC0415
    from raincheck.stores.postgres.connecting import connect, driver, pauses  # noqa: PLC0415
    from raincheck.stores.postgres.overview import PostgresOverview  # noqa: PLC0415

    driver()
    store = PostgresStore(database, timed=timed)
    signals = PostgresSignals(
        connect=lambda: connect(database, direct=True),
        pauses=pauses,
        channel=database.schema,
    )
    store.when_written(signals.tell)
    blobs = PostgresBlobs(pool=store.pool, schema=database.schema, folder=_temporary(stack))
    return Storage(store, PostgresOverview(database), blobs, NoLiveness(), signals, store.clock.now)


def _temporary(stack: contextlib.AsyncExitStack) -> Path:
    return Path(stack.enter_context(TemporaryDirectory(prefix="raincheck-")))


def _now() -> datetime:
    return datetime.now(UTC)
