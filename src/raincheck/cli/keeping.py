"""``raincheck prune`` and ``migrate``: keeping the store in order, without a server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from raincheck import settings
from raincheck.cli.formats import counted
from raincheck.cli.view import present_store, store_location
from raincheck.engine_choice import chosen_engine
from raincheck.locations import SqliteFile
from raincheck.roles.pruner import Pruner
from raincheck.storage import open_storage
from raincheck.stores.sqlite.opening import connect, migrate, prepare_file, refusing_unusable, schema_version

if TYPE_CHECKING:
    from pathlib import Path

    from raincheck.locations import Location, PostgresDatabase


def prune_store(url: str | None, *, as_json: bool) -> None:
    """Remove what has passed its retention, and the files of submits that were never committed.

    :raises StoreError: there is no store of this release.
    """
    operations, files = asyncio.run(_pruned(present_store(url)))
    if as_json:
        print(json.dumps({"operations": operations, "left_over_files": files}))
    else:
        print(f"Removed {counted(operations, 'operation')} and the left-over files of {counted(files, 'submit')}.")


async def _pruned(location: Location) -> tuple[int, int]:
    async with contextlib.AsyncExitStack() as stack:
        storage = await open_storage(location, stack)
        pruner = Pruner(store=storage.store, blobs=storage.blobs, clock=storage.clock)
        operations = 0
        while gone := await pruner.run_once():
            operations += gone
        return operations, len(await pruner.sweep())


def migrate_store(url: str | None, *, as_json: bool) -> None:
    """Bring the schema to this release, as a starting server does; what is missing is created.

    :raises StoreError: the store cannot be used, a newer release wrote it, or this role may not change its tables.
    """
    location = store_location(url)
    if isinstance(location, SqliteFile):
        name, (before, after) = str(location.path), _migrated_file(location.path)
    else:
        name, (before, after) = str(location), asyncio.run(_migrated_database(location))
    engine = asyncio.run(_engine_with_tables(url))
    if as_json:
        print(json.dumps({"store": name, "before": before, "after": after, "engine": engine}))
    elif before == after:
        print(f"{name} has schema {after} already.")
    else:
        print(f"{name} had schema {before} and has schema {after} now.")
    if engine is not None and not as_json:
        print(f"The tables of {engine} are there too, as RAINCHECK_ENGINE says.")


def _migrated_file(path: Path) -> tuple[int, int]:
    prepare_file(path)
    with refusing_unusable(path), closing(connect(path)) as connection:
        before = schema_version(connection)
        migrate(connection, path)
        return before, schema_version(connection)


async def _engine_with_tables(url: str | None) -> str | None:
    """Make or upgrade the tables of the engine that the environment chooses; return its name, if it has any."""
    engine = chosen_engine(None, settings.load(None, store=url))
    if engine is None or not engine.transactional:
        return None
    try:
        await engine.start({}, clock=lambda: datetime.now(UTC))
    finally:
        await engine.stop()
    return engine.name


async def _migrated_database(database: PostgresDatabase) -> tuple[int, int]:
    from raincheck.stores.postgres import opening  # noqa: PLC0415 - an extra
    from raincheck.stores.postgres.connecting import connect_patiently  # noqa: PLC0415

    connection = await connect_patiently(database, patience=0.0)
    try:
        before = await opening.schema_version(connection, database)
        await opening.migrate(connection, database)
        return before, await opening.schema_version(connection, database)
    finally:
        connection.terminate()
