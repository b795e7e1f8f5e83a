"""``raincheck migrate-store``: from SQLite to PostgreSQL, most of it while the application serves.

What has finished does not change any more, so it is copied at any time. What waits or runs is copied in one transaction
at the end, while nobody else has the file open: so no operation can ever run in both stores.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from raincheck.cli.ending import UsageError
from raincheck.cli.formats import counted
from raincheck.cli.move_source import Source, served_source, unserved_source
from raincheck.cli.move_target import Target
from raincheck.cli.view import store_location
from raincheck.core.errors import StoreError
from raincheck.locations import PostgresDatabase, SqliteFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

_BATCH = 500
_TELL_EVERY = 1.0
_LISTED = 5000
_WHOLE = ("tickets", "webhooks", "endpoints", "tombstones")


@dataclass(slots=True)
class Progress:
    """What was copied by this command, told on stderr once a second."""

    operations: int = 0
    files: int = 0
    seen: int = 0
    total: int = 0
    told_at: float = field(default_factory=time.monotonic)

    def tell(self, *, now: bool = False) -> None:
        """Print a line, unless one was printed just now."""
        if now or time.monotonic() - self.told_at >= _TELL_EVERY:
            self.told_at = time.monotonic()
            files = f", {counted(self.files, 'file')}" if self.files else ""
            print(f"{self.seen:,} of {self.total:,} operations{files}", file=sys.stderr, flush=True)


def move_store(source: str, target: str, *, as_json: bool) -> None:
    """Copy what is missing in the target; the rest and the end only where nobody has the source open.

    :raises UsageError: these are not a SQLite file and a PostgreSQL database.
    :raises StoreError: one of them cannot be used, or the target holds something else.
    """
    path, database = _places(source, target)
    progress = Progress()
    complete = asyncio.run(_moved(path, database, progress))
    if as_json:
        print(json.dumps({"operations": progress.operations, "files": progress.files, "complete": complete}))
    elif complete:
        print(
            f"Complete: {database} (schema {database.schema}) holds all of {path}, counted and compared. Start the "
            "application with RAINCHECK_STORE set to it. The file was not changed: keep it as a backup, and start "
            "nothing on it."
        )
    else:
        print(
            f"{counted(progress.operations, 'finished operation')} copied. {path} is open in another process: what "
            "waits and runs there is not copied. Stop the application and its workers, then run this command again."
        )


def _places(source: str, target: str) -> tuple[Path, PostgresDatabase]:
    former, new = store_location(source), store_location(target)
    if not isinstance(former, SqliteFile) or not isinstance(new, PostgresDatabase):
        msg = (
            "Stores are copied from a SQLite file to PostgreSQL only. Write: raincheck migrate-store "
            "sqlite:///raincheck.db postgresql://user@host/database"
        )
        raise UsageError(msg)
    return former.path, new


async def _moved(path: Path, database: PostgresDatabase, progress: Progress) -> bool:
    """Copy; return whether that was all."""
    async with _opened(database) as target:
        with served_source(path) as source:
            await _refuse_strangers(source, target, path)
            progress.total = source.how_many(finished=True)
            await _copy_finished(source, target, progress)
            await _copy_inputs(source, target, progress)
        with unserved_source(path) as source:
            if source is None:
                progress.tell(now=True)
                return False
            await _forget_gone(source, target)
            progress.total = source.how_many(finished=True) + source.how_many(finished=False)
            await _copy_finished(source, target, progress)
            await _copy_inputs(source, target, progress)
            async with target.transaction():
                await _copy_rest(source, target, progress)
            await target.analyse()
            progress.tell(now=True)
            await _compare(source, target)
            return True


@contextlib.asynccontextmanager
async def _opened(database: PostgresDatabase) -> AsyncIterator[Target]:
    from raincheck.stores.postgres import PostgresStore  # noqa: PLC0415 - an extra
    from raincheck.stores.postgres.blobs import PostgresBlobs  # noqa: PLC0415
    from raincheck.stores.postgres.connecting import connect, driver  # noqa: PLC0415

    driver()
    store = PostgresStore(database)
    with TemporaryDirectory(prefix="raincheck-") as folder:
        blobs = PostgresBlobs(pool=store.pool, schema=database.schema, folder=Path(folder))
        try:
            await store.open()
            connection: Any = await connect(database, direct=True)
            try:
                yield Target(store=store, blobs=blobs, connection=connection)
            finally:
                await connection.close()
        except (driver().PostgresError, driver().InterfaceError, OSError) as error:
            msg = (
                f"Copying to {database} stopped: {type(error).__name__}: {error}. What was copied stays; run the "
                "command again, it goes on from there."
            )
            raise StoreError(msg) from error
        finally:
            await store.close()


async def _refuse_strangers(source: Source, target: Target, path: Path) -> None:
    """Refuse a target that holds what never was in the source: it is in use, or another application's."""
    async for ids in _ids_of(target):
        kept, buried = source.fate(ids)
        strangers = set(ids) - kept - buried
        if strangers:
            msg = (
                f"The target holds operations that {path} does not have, such as {min(strangers)}: it is in use "
                "already, or another application's. Copy into an empty schema: add ?schema=another to its URL."
            )
            raise StoreError(msg)


async def _forget_gone(source: Source, target: Target) -> None:
    """Remove what was copied and has been deleted since, or has expired."""
    async for ids in _ids_of(target):
        kept, _ = source.fate(ids)
        if gone := sorted(set(ids) - kept):
            await target.forget_operations(gone)


async def _ids_of(target: Target) -> AsyncIterator[list[str]]:
    last = ""
    while ids := await target.ids_after(last, _LISTED):
        yield ids
        last = ids[-1]


async def _copy_finished(source: Source, target: Target, progress: Progress) -> None:
    progress.seen, last = 0, ""
    while ids := source.ids_after(last, finished=True, limit=_BATCH):
        last = ids[-1]
        there = await target.known(ids)
        missing = [each for each in ids if each not in there]
        if missing:
            await _copy_files(source, target, missing, progress)
            async with target.transaction():
                progress.operations += await _copy_records(source, target, missing)
        progress.seen += len(ids)
        progress.tell()


async def _copy_inputs(source: Source, target: Target, progress: Progress) -> None:
    """Copy the files of what has not finished, so that the end is short; nobody looks at them before."""
    last = ""
    while ids := source.ids_after(last, finished=False, limit=_BATCH):
        last = ids[-1]
        await _copy_files(source, target, ids, progress)


async def _copy_files(source: Source, target: Target, ids: Sequence[str], progress: Progress) -> None:
    sizes = await target.sizes(ids)
    for operation_id in ids:
        for name, path in source.files(operation_id).items():
            with contextlib.suppress(FileNotFoundError):  # deleted with its operation, just now
                if sizes.get(name) != path.stat().st_size:
                    await target.put(name, path)
                    progress.files += 1
                    progress.tell()


async def _copy_records(source: Source, target: Target, ids: Sequence[str]) -> int:
    with source.at_one_moment():
        operations = source.operations(ids)
        await target.insert_operations(operations)
        for events in source.events([operation.id for operation in operations]):
            await target.insert("events", events)
    return len(operations)


async def _copy_rest(source: Source, target: Target, progress: Progress) -> None:
    """Copy what changes while somebody serves: what waits and runs, webhooks, tickets, tombstones."""
    last = ""
    while ids := source.ids_after(last, finished=False, limit=_BATCH):
        last = ids[-1]
        there = await target.known(ids)  # complete already, and run once more
        progress.operations += await _copy_records(source, target, [each for each in ids if each not in there])
        progress.seen += len(ids)
        progress.tell()
    for table in _WHOLE:
        await target.empty(table)
        for rows in source.rows(table):
            await target.insert(table, rows)
    await target.keep_keys_of_tombstones()
    last = ""
    while states := source.states_of_deliveries(last, _LISTED):
        last = states[-1][0]
        copied = await target.states_of_deliveries([state[0] for state in states])
        changed = [state[0] for state in states if tuple(state) not in copied]
        await target.forget("deliveries", "id", changed)
        await target.insert("deliveries", source.deliveries(changed))


async def _compare(source: Source, target: Target) -> None:
    """Count both.

    :raises StoreError: they differ.
    """
    ours, theirs = source.counts(), await target.counts()
    nothing = (0, 0)
    different = [name for name in sorted(ours | theirs) if ours.get(name, nothing) != theirs.get(name, nothing)]
    missing = 0
    for finished in (True, False):
        last = ""
        while ids := source.ids_after(last, finished=finished, limit=_BATCH):
            last = ids[-1]
            sizes = await target.sizes(ids)
            files = {name: path.stat().st_size for each in ids for name, path in source.files(each).items()}
            missing += sum(sizes.get(name) != size for name, size in files.items())
    if different or missing:
        pairs = [(name, ours.get(name, nothing)[0], theirs.get(name, nothing)[0]) for name in different]
        shown = [f"{name}: {there} in the file, {copied} copied" for name, there, copied in pairs]
        shown += [f"{counted(missing, 'file')} missing"] if missing else []
        msg = (
            f"The copy differs from the file ({'; '.join(shown)}). If an application has run on it since it was "
            "complete, that is why. Else start nothing on it: DROP SCHEMA … CASCADE, and copy again."
        )
        raise StoreError(msg)
