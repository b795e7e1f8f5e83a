"""Files of operations in a local folder: ``<folder>/<operation>/<run>/<name>``, private to the user."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from raincheck.core.errors import StorageFull, StoreUnavailable
from raincheck.core.names import is_operation_id
from raincheck.own_threads import in_own_thread
from raincheck.ports import Blob
from raincheck.stores.blob_names import is_last_part, parsed
from raincheck.stores.durable_files import (
    PartialFile,
    make_folders,
    newest_change,
    regular_file,
    remove_empty_folders,
    sync_folders,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
    from datetime import datetime
    from io import BufferedReader

T = TypeVar("T")

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_PIECE = 1 << 20  # bytes gathered before one trip to a thread
_BATCH = 200


class LocalBlobs:
    """A folder of blobs. Folders have mode 0700 and files 0600; nothing is created before the first write."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> Blob:
        """Write the chunks and return when they are durable.

        :raises ValueError: the name is not ``<operation>/<run>/<name>``.
        :raises StorageFull: the disk or quota is full; nothing is left behind.
        """
        target = self._path(name)
        writing = PartialFile(target, root=self._folder)
        try:
            await _stored(name, writing.create)
            async for piece in gathered(chunks):
                await _stored(name, partial(writing.write, piece))
            length, hashed = await _stored(name, writing.commit)
        except BaseException:
            await _off_the_loop(writing.discard)
            raise
        return Blob(name, length, hashed)

    async def adopt(self, name: str, file: Path) -> Blob:
        """Move a local file in and return when it is durable.

        :raises ValueError: the name is malformed, or the file is not a regular file (a link is none).
        """
        target = self._path(name)
        return await _stored(name, partial(self._adopt, name, target, file))

    async def local_path(self, name: str) -> Path:
        """Return a path that can be read until the blob is removed. An unknown name raises KeyError."""
        path = self._path(name)
        if not await _off_the_loop(path.is_file):
            raise KeyError(name)
        return path

    async def remove_operations(self, operation_ids: Sequence[str]) -> None:
        """Forget all blobs of the operations."""
        folders = [self._folder / each for each in operation_ids if is_operation_id(each)]
        await _off_the_loop(partial(_remove, folders))

    async def link_inputs(self, former_id: str, operation_id: str) -> None:
        """Give an operation the input files of a former one, durably; each may be removed without the other.

        :raises StorageFull: the disk or quota is full; nothing is left behind.
        """
        source = self._path(f"{former_id}/0/input").parent
        target = self._path(f"{operation_id}/0/input").parent
        try:
            await _stored(f"{operation_id}/0", partial(self._link, source, target))
        except BaseException:
            await self.remove_operations([operation_id])
            raise

    def staging(self, operation_id: str, run: int) -> Path:
        """Return the folder where a run may leave files to adopt; whoever writes there creates it."""
        return Path(f"{self._folder}/{operation_id}/{run}/.staging")

    async def sweep(
        self,
        known: Callable[[Sequence[str]], Awaitable[Collection[str]]],
        *,
        older_than: datetime,
    ) -> list[str]:
        """Remove the folders of operations that the store does not know: submits that were never committed.

        :param known: returns those of the ids that the store holds.
        :param older_than: folders changed since then are left alone, their submit may still commit.
        """
        old = await _off_the_loop(partial(self._unchanged_since, older_than))
        removed: list[str] = []
        for start in range(0, len(old), _BATCH):
            batch = old[start : start + _BATCH]
            held = await known(batch)
            orphans = [each for each in batch if each not in held]
            await self.remove_operations(orphans)
            removed += orphans
        return removed

    def _path(self, name: str) -> Path:
        operation, run, last = parsed(name)
        return self._folder / operation / run / last

    def _adopt(self, name: str, target: Path, file: Path) -> Blob:
        with regular_file(file) as source:
            hashed = hashlib.file_digest(source, "sha256").hexdigest()
            os.fchmod(source.fileno(), 0o600)
            os.fsync(source.fileno())
            length = os.fstat(source.fileno()).st_size
            make_folders(target, root=self._folder)
            try:
                file.replace(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    remove_empty_folders(target, root=self._folder)
                    raise
                self._copy(source, target)
                file.unlink()
        try:
            sync_folders(target, root=self._folder)
        except OSError:
            with suppress(OSError):  # back to where it was, so that it can be adopted again
                target.replace(file)
            raise
        return Blob(name, length, hashed)

    def _link(self, source: Path, target: Path) -> None:
        if not source.is_dir():
            return  # it had no files
        files = [each for each in source.iterdir() if is_last_part(each.name)]
        for file in files:
            make_folders(target / file.name, root=self._folder)
            (target / file.name).hardlink_to(file)
        if files:
            sync_folders(target / files[0].name, root=self._folder)

    def _copy(self, source: BufferedReader, target: Path) -> None:
        source.seek(0)
        writing = PartialFile(target, root=self._folder)
        try:
            writing.create()
            shutil.copyfileobj(source, writing, _PIECE)
            writing.commit()
        except BaseException:
            writing.discard()
            raise

    def _unchanged_since(self, moment: datetime) -> list[str]:
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            ids = sorted(entry.name for entry in entries if is_operation_id(entry.name))
            return [each for each in ids if newest_change(self._folder / each) < moment.timestamp()]
        return []


def _remove(folders: Sequence[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


async def gathered(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Join small chunks to pieces of a megabyte, since each trip to a thread or a database costs more than writing."""
    waiting: list[bytes] = []
    length = 0
    async for chunk in chunks:
        waiting.append(chunk)
        length += len(chunk)
        if length >= _PIECE:
            yield b"".join(waiting)
            waiting, length = [], 0
    if waiting:
        yield b"".join(waiting)


async def _stored(name: str, step: Callable[[], T]) -> T:
    """Run a step that writes; a disk that fails becomes an error that says what to do."""
    try:
        return await _off_the_loop(step)
    except OSError as error:
        if error.errno in _FULL:
            msg = "The server's disk or quota is full, so nothing was stored. Try again later."
            raise StorageFull(msg) from error
        msg = f"The file {name} could not be stored ({error.strerror}). Try again later."
        raise StoreUnavailable(msg) from error


async def _off_the_loop(step: Callable[[], T]) -> T:
    """Run a step in a thread, to its end even when cancelled: the file must not be closed under a write."""
    work = asyncio.ensure_future(in_own_thread(step))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # the cancellation outranks it
        raise
