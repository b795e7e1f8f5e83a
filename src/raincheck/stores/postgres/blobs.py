"""Files of operations as rows: every machine of a fleet can read them, and they are backed up with the rest."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from raincheck.core.moments import milliseconds
from raincheck.own_threads import in_own_thread
from raincheck.ports import Blob
from raincheck.stores.blob_names import parsed
from raincheck.stores.blobs import LocalBlobs, gathered
from raincheck.stores.durable_files import regular_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
    from datetime import datetime
    from io import BufferedReader
    from pathlib import Path

    from raincheck.stores.postgres.pool import Pool

_PIECE = 1 << 20
_BATCH = 200
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_KEPT = 3600.0
"""How long a local copy that nobody asks for is kept, in seconds."""
_TIDY_EVERY = 60.0


class PostgresBlobs:
    """Implements BlobStore: a file is a few rows of a megabyte, written one by one, that count once all are there.

    :param folder: for local copies of what is read here, and for what runs leave to adopt.
    """

    def __init__(self, *, pool: Pool, schema: str, folder: Path) -> None:
        self._pool = pool
        self._folder = folder
        self._copies = LocalBlobs(folder)
        self._tidied_at = time.monotonic()
        self._blobs, self._pieces, self._versions = (
            f"{schema}.{name}" for name in ("blobs", "blob_pieces", "blob_versions")
        )

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> Blob:
        """Write the chunks and return when they are durable.

        :raises ValueError: the name is not ``<operation>/<run>/<name>``.
        :raises StorageFull: the database's disk is full.
        :raises StoreUnavailable: the database is away.
        """
        operation, run, last = parsed(name)
        version = await self._pool.read(lambda connection: connection.fetchval(f"SELECT nextval('{self._versions}')"))
        hashed, size = hashlib.sha256(), 0
        key = (operation, int(run), last, version)
        try:
            number = 0
            async for piece in gathered(chunks):
                hashed.update(piece)
                size += len(piece)
                await self._add_piece(key, number, piece)
                number += 1
            await self._complete(key, size, hashed.hexdigest())
        except BaseException:
            with suppress(Exception):  # the sweep finds what is left
                await self._forget_pieces(key)
            raise
        return Blob(name, size, hashed.hexdigest())

    async def _add_piece(self, key: tuple[Any, ...], number: int, piece: bytes) -> None:
        text = (
            f"INSERT INTO {self._pieces} (operation, run, name, version, number, written_at, data) "
            f"VALUES ($1, $2, $3, $4, $5, {_NOW}, $6)"
        )
        await self._pool.write(lambda connection: connection.execute(text, *key, number, piece))

    async def _complete(self, key: tuple[Any, ...], size: int, sha256: str) -> None:
        """Make the pieces the file of this name, and drop those of a former one."""

        async def complete(connection: Any) -> None:
            await connection.execute(
                f"INSERT INTO {self._blobs} (operation, run, name, version, size, sha256) "
                "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (operation, run, name) "
                "DO UPDATE SET version = excluded.version, size = excluded.size, sha256 = excluded.sha256",
                *key,
                size,
                sha256,
            )
            await connection.execute(
                f"DELETE FROM {self._pieces} WHERE operation = $1 AND run = $2 AND name = $3 AND version < $4",
                *key,
            )

        await self._pool.write(complete)

    async def _forget_pieces(self, key: tuple[Any, ...]) -> None:
        text = f"DELETE FROM {self._pieces} WHERE operation = $1 AND run = $2 AND name = $3 AND version = $4"
        await self._pool.write(lambda connection: connection.execute(text, *key))

    async def adopt(self, name: str, file: Path) -> Blob:
        """Copy a local file in, and remove it when that is durable.

        :raises ValueError: the name is malformed, or the file is not a regular file (a link is none).
        """
        parsed(name)
        with regular_file(file) as source:
            blob = await self.put(name, _read(source))
        await in_own_thread(file.unlink)
        return blob

    async def local_path(self, name: str) -> Path:
        """Return the path of a local copy, which is fetched where there is none. An unknown name raises KeyError."""
        operation, run, last = parsed(name)
        await self._tidy()
        text = f"SELECT version FROM {self._blobs} WHERE operation = $1 AND run = $2 AND name = $3"
        version = await self._pool.read(lambda connection: connection.fetchval(text, operation, int(run), last))
        if version is None:
            raise KeyError(name)
        copy = f"{operation}/{run}/v{version}"
        try:
            path = await self._copies.local_path(copy)
        except KeyError:
            await self._copies.put(copy, self._fetched((operation, int(run), last, version)))
            path = await self._copies.local_path(copy)
        await in_own_thread(os.utime, path)
        return path

    async def _fetched(self, key: tuple[Any, ...]) -> AsyncIterator[bytes]:
        text = (
            f"SELECT data FROM {self._pieces} "
            "WHERE operation = $1 AND run = $2 AND name = $3 AND version = $4 AND number = $5"
        )
        number = 0
        while True:
            data = await self._pool.read(lambda connection: connection.fetchval(text, *key, number))  # noqa: B023 - awaited
            if data is None:
                return
            yield data
            number += 1

    async def link_inputs(self, former_id: str, operation_id: str) -> None:
        """Give an operation copies of the input files of a former one."""

        async def link(connection: Any) -> None:
            await connection.execute(
                f"INSERT INTO {self._pieces} (operation, run, name, version, number, written_at, data) "
                f"SELECT $2, pieces.run, pieces.name, pieces.version, pieces.number, {_NOW}, pieces.data "
                f"FROM {self._pieces} AS pieces JOIN {self._blobs} USING (operation, run, name, version) "
                "WHERE pieces.operation = $1 AND pieces.run = 0",
                former_id,
                operation_id,
            )
            await connection.execute(
                f"INSERT INTO {self._blobs} (operation, run, name, version, size, sha256) "
                f"SELECT $2, run, name, version, size, sha256 FROM {self._blobs} WHERE operation = $1 AND run = 0",
                former_id,
                operation_id,
            )

        await self._pool.write(link)

    async def remove_operations(self, operation_ids: Sequence[str]) -> None:
        """Forget all blobs of the operations."""
        ids = [each for each in operation_ids if each.isascii() and "\x00" not in each]

        async def remove(connection: Any) -> None:
            for table in (self._blobs, self._pieces):
                await connection.execute(f"DELETE FROM {table} WHERE operation = ANY ($1::text[])", ids)

        await self._pool.write(remove)
        await self._copies.remove_operations(operation_ids)

    async def sweep(
        self,
        known: Callable[[Sequence[str]], Awaitable[Collection[str]]],
        *,
        older_than: datetime,
    ) -> list[str]:
        """Remove the files of submits that were never committed, and pieces of files that were never completed.

        :param known: returns those of the ids that the store holds.
        :param older_than: what was written since then is left alone, its submit may still commit.
        """
        text = f"SELECT operation FROM {self._pieces} GROUP BY operation HAVING max(written_at) < $1 ORDER BY operation"
        moment = milliseconds(older_than)
        old = [row[0] for row in await self._pool.read(lambda connection: connection.fetch(text, moment))]
        removed: list[str] = []
        for start in range(0, len(old), _BATCH):
            batch = old[start : start + _BATCH]
            held = await known(batch)
            orphans = [each for each in batch if each not in held]
            await self.remove_operations(orphans)
            removed += orphans
        await self._drop_incomplete(moment)
        await self._copies.sweep(known, older_than=older_than)
        return removed

    async def _drop_incomplete(self, moment: int) -> None:
        text = (
            f"DELETE FROM {self._pieces} AS pieces WHERE written_at < $1 AND NOT EXISTS (SELECT 1 FROM {self._blobs} "
            "AS blobs WHERE (blobs.operation, blobs.run, blobs.name, blobs.version) = "
            "(pieces.operation, pieces.run, pieces.name, pieces.version))"
        )
        await self._pool.write(lambda connection: connection.execute(text, moment))

    def staging(self, operation_id: str, run: int) -> Path:
        """Return the folder where a run may leave files to adopt; whoever writes there creates it."""
        return self._copies.staging(operation_id, run)

    async def _tidy(self) -> None:
        """Once a minute, remove local copies that nobody has asked for in an hour; open files stay readable."""
        now = time.monotonic()
        if now - self._tidied_at >= _TIDY_EVERY:
            self._tidied_at = now
            await in_own_thread(_remove_unused, self._folder, time.time() - _KEPT)


async def piece_of(connection: Any, *, schema: str, name: str, number: int) -> bytes | None:
    """Return a piece of a blob, for those who only look; None after the last, and where there is no such blob."""
    operation, run, last = parsed(name)
    text = (
        f"SELECT data FROM {schema}.blobs JOIN {schema}.blob_pieces USING (operation, run, name, version) "
        "WHERE operation = $1 AND run = $2 AND name = $3 AND number = $4"
    )
    piece: bytes | None = await connection.fetchval(text, operation, int(run), last, number)
    return piece


def _remove_unused(folder: Path, before: float) -> None:
    for copy in folder.glob("*/*/v*"):
        with suppress(FileNotFoundError):
            if copy.stat().st_mtime < before:
                copy.unlink()
                with suppress(OSError):  # others are still in use
                    copy.parent.rmdir()
                    copy.parent.parent.rmdir()


async def _read(source: BufferedReader) -> AsyncIterator[bytes]:
    while piece := await in_own_thread(source.read, _PIECE):
        yield piece
