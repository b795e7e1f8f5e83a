"""The store that a command looks into, whatever it is; nothing is made or changed there."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from raincheck import settings
from raincheck.cli.ending import UsageError
from raincheck.core.errors import ConfigurationError, StoreError
from raincheck.locations import Memory, PostgresDatabase, SqliteFile
from raincheck.stores.blobs import LocalBlobs
from raincheck.stores.sqlite import deliveries, reading
from raincheck.stores.sqlite.inspection import opened_to_look
from raincheck.stores.sqlite.store import side_folder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    from raincheck.core.deliveries import Delivery, Health
    from raincheck.core.events import Event
    from raincheck.core.operation import Operation
    from raincheck.ports import ListQuery, Tombstone
    from raincheck.ports_deliveries import DeliveryQuery

T = TypeVar("T")
_PIECE = 1 << 20


class View(Protocol):
    """What commands read.

    :param without_file: says of a large result why ``result_file`` names none.
    """

    name: str
    without_file: str

    def get(self, operation_id: str) -> Operation | Tombstone | None:
        """Return the record, its tombstone, or None."""
        ...

    def list_page(self, query: ListQuery) -> list[Operation]:
        """Return a page, newest first."""
        ...

    def queue_position(self, operation: Operation) -> int | None:
        """Return how many queued operations go first."""
        ...

    def events_after(self, cursors: Mapping[str, int], limit: int) -> dict[str, tuple[Operation, list[Event]]]:
        """Return records and their events above the cursors."""
        ...

    def list_deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        """Return a page of the delivery log, newest first."""
        ...

    def unhealthy_endpoints(self) -> list[Health]:
        """Return the health of every URL that failed last."""
        ...

    def result_file(self, blob: str) -> Path | None:
        """Return where a large result lies on this machine, if it does."""
        ...

    def result_pieces(self, blob: str) -> Iterator[bytes]:
        """Give the bytes of a large result.

        :raises StoreError: they are missing.
        """
        ...


def store_location(url: str | None) -> SqliteFile | PostgresDatabase:
    """Return where the store is; without a URL that of the environment or the default.

    :raises UsageError: the URL is unknown, or names a store that only its own process can read.
    """
    try:
        found = settings.load(None, store=url).location
    except ConfigurationError as error:
        raise UsageError(str(error)) from error
    match found:
        case Memory():
            msg = (
                "A memory: store lives inside its server and cannot be read from here. Use the HTTP API, or a store in "
                "a file: --store sqlite:///raincheck.db."
            )
            raise UsageError(msg)
        case SqliteFile(path):
            return SqliteFile(path.absolute())
        case PostgresDatabase():
            return found


def present_store(url: str | None) -> SqliteFile | PostgresDatabase:
    """Return where a store is that a command may change: it is there, and of this release.

    :raises UsageError: the URL is unknown.
    :raises StoreError: a wrong path must not become an empty store, and a command must not migrate by the way.
    """
    with opened_view(url):
        return store_location(url)


@contextlib.contextmanager
def opened_view(url: str | None) -> Iterator[View]:
    """Open the store to look into it.

    :raises UsageError: the URL is unknown.
    :raises StoreError: the store is not there, cannot be read, or is of another release.
    """
    location = store_location(url)
    if isinstance(location, SqliteFile):
        with opened_to_look(location.path) as connection:
            yield _SqliteView(connection, location.path)
    else:
        with opened_database(location) as view:
            yield view


class _SqliteView:
    without_file = "the file is missing"

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.name = str(path)
        self._connection = connection
        self._path = path

    def get(self, operation_id: str) -> Operation | Tombstone | None:
        return reading.get(self._connection, operation_id)

    def list_page(self, query: ListQuery) -> list[Operation]:
        return reading.list_page(self._connection, query)

    def queue_position(self, operation: Operation) -> int | None:
        return reading.queue_position(self._connection, operation)

    def events_after(self, cursors: Mapping[str, int], limit: int) -> dict[str, tuple[Operation, list[Event]]]:
        return reading.events_after(self._connection, cursors, limit)

    def list_deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        return deliveries.list_page(self._connection, query)

    def unhealthy_endpoints(self) -> list[Health]:
        return deliveries.unhealthy(self._connection)

    def result_file(self, blob: str) -> Path | None:
        try:
            return asyncio.run(LocalBlobs(side_folder(self._path) / "blobs").local_path(blob))
        except KeyError:
            return None

    def result_pieces(self, blob: str) -> Iterator[bytes]:
        path = self.result_file(blob)
        if path is None:
            msg = f"The file of the result is missing: {blob}. Was the folder {self._path}.d moved or cleaned by hand?"
            raise StoreError(msg)
        with path.open("rb") as source:
            while piece := source.read(_PIECE):
                yield piece


@contextlib.contextmanager
def opened_database(database: PostgresDatabase) -> Iterator[PostgresView]:
    """Open a schema of a PostgreSQL database to look into it.

    :raises StoreError: it is not there, cannot be read, or is of another release.
    """
    from raincheck.stores.postgres.connecting import connect_patiently, driver  # noqa: PLC0415 - an extra
    from raincheck.stores.postgres.inspection import refuse_unreadable  # noqa: PLC0415

    with asyncio.Runner() as runner:
        connection = runner.run(connect_patiently(database, patience=0.0))
        try:
            runner.run(refuse_unreadable(connection, database))
            yield PostgresView(runner, connection, database)
        except (driver().PostgresError, driver().InterfaceError, OSError) as error:
            msg = (
                f"{database} cannot be read: {error}. Check the server and the rights of this role "
                "(docs/postgresql.md, Roles)."
            )
            raise StoreError(msg) from error
        finally:
            connection.terminate()
            runner.run(asyncio.sleep(0))


class PostgresView:
    """Reads through one connection."""

    without_file = "kept in the database"

    def __init__(self, runner: asyncio.Runner, connection: Any, database: PostgresDatabase) -> None:
        from raincheck.stores.postgres.deliveries import DeliveryQueries  # noqa: PLC0415 - an extra
        from raincheck.stores.postgres.reading import Queries  # noqa: PLC0415

        self.name = str(database)
        self.database = database
        self._runner = runner
        self._connection = connection
        self._queries = Queries(database.schema)
        self._deliveries = DeliveryQueries(database.schema)

    def run(self, query: Callable[[Any], Awaitable[T]]) -> T:
        """Run a query on the connection."""

        async def run() -> T:
            async with self._connection.transaction(isolation="repeatable_read", readonly=True):
                return await query(self._connection)

        return self._runner.run(run())

    def get(self, operation_id: str) -> Operation | Tombstone | None:
        """Return the record, its tombstone, or None."""
        return self.run(lambda connection: self._queries.get(connection, operation_id))

    def list_page(self, query: ListQuery) -> list[Operation]:
        """Return a page, newest first."""
        return self.run(lambda connection: self._queries.list_page(connection, query))

    def queue_position(self, operation: Operation) -> int | None:
        """Return how many queued operations go first."""
        return self.run(lambda connection: self._queries.queue_position(connection, operation))

    def events_after(self, cursors: Mapping[str, int], limit: int) -> dict[str, tuple[Operation, list[Event]]]:
        """Return records and their events above the cursors."""
        return self.run(lambda connection: self._queries.events_after(connection, cursors, limit))

    def list_deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        """Return a page of the delivery log, newest first."""
        return self.run(lambda connection: self._deliveries.list_page(connection, query))

    def unhealthy_endpoints(self) -> list[Health]:
        """Return the health of every URL that failed last."""
        return self.run(self._deliveries.unhealthy)

    def result_file(self, blob: str) -> Path | None:
        """Return None: large results are rows."""
        _ = blob
        return None

    def result_pieces(self, blob: str) -> Iterator[bytes]:
        """Give the rows of a large result one by one."""
        from raincheck.stores.postgres.blobs import piece_of  # noqa: PLC0415 - an extra

        schema, number = self.database.schema, 0
        while (piece := self.run(partial(piece_of, schema=schema, name=blob, number=number))) is not None:
            yield piece
            number += 1
        if number == 0:
            msg = f"The rows of the result are missing: {blob}. Were they removed by hand?"
            raise StoreError(msg)
