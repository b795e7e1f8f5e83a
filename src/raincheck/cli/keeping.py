"""``raincheck prune`` and ``migrate``: keeping the store file in order, without a server."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from raincheck.cli.formats import counted
from raincheck.cli.store_file import present_store, store_path
from raincheck.roles.pruner import Pruner
from raincheck.stores.blobs import LocalBlobs
from raincheck.stores.sqlite import SqliteStore
from raincheck.stores.sqlite.opening import connect, migrate, prepare_file, refusing_unusable, schema_version
from raincheck.stores.sqlite.store import side_folder

if TYPE_CHECKING:
    from pathlib import Path


def prune_store(url: str | None, *, as_json: bool) -> None:
    """Remove what has passed its retention, and the files of submits that were never committed.

    :raises StoreError: there is no store of this release.
    """
    path = present_store(url)
    operations, files = asyncio.run(_pruned(path))
    if as_json:
        print(json.dumps({"operations": operations, "left_over_files": files}))
    else:
        print(f"Removed {counted(operations, 'operation')} and the left-over files of {counted(files, 'submit')}.")


async def _pruned(path: Path) -> tuple[int, int]:
    store = SqliteStore(path)
    await store.open()
    try:
        pruner = Pruner(store=store, blobs=LocalBlobs(side_folder(path) / "blobs"), clock=lambda: datetime.now(UTC))
        operations = 0
        while gone := await pruner.run_once():
            operations += gone
        return operations, len(await pruner.sweep())
    finally:
        await store.close()


def migrate_store(url: str | None, *, as_json: bool) -> None:
    """Bring the file's schema to this release, as a starting server does; a missing file is created.

    :raises StoreError: the file cannot be used, or a newer release wrote it.
    """
    path = store_path(url)
    prepare_file(path)
    with refusing_unusable(path), closing(connect(path)) as connection:
        before = schema_version(connection)
        migrate(connection, path)
        after = schema_version(connection)
    if as_json:
        print(json.dumps({"store": str(path), "before": before, "after": after}))
    elif before == after:
        print(f"{path} has schema {after} already.")
    else:
        print(f"{path} had schema {before} and has schema {after} now.")
