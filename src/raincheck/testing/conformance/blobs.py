"""The promises of BlobStore."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest

from raincheck.ports import Blob, BlobStore
from raincheck.testing.conformance.specimens import an_operation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class BlobStoreConformance:
    """Provide ``blobs``: a fixture with an empty blob store."""

    pytestmark = pytest.mark.anyio

    @pytest.mark.parametrize("chunks", [[], [b""], [b"one"], [b"one", b"", b"two"], [bytes(700_000)] * 5])
    async def test_what_was_put_reads_back_with_its_size_and_hash(self, blobs: BlobStore, chunks: list[bytes]) -> None:
        """Whatever the pieces, the file is their sum."""
        name = f"{an_operation().id}/0/body"
        content = b"".join(chunks)
        blob = await blobs.put(name, pieces(*chunks))
        assert blob == Blob(name, len(content), hashlib.sha256(content).hexdigest())
        assert (await blobs.local_path(name)).read_bytes() == content

    async def test_a_file_that_is_gone_is_refused(self, blobs: BlobStore) -> None:
        """``adopt`` says so at once: taken for a disk in trouble, its run would wait for the file for ever."""
        operation = an_operation().id
        with pytest.raises(ValueError, match="is gone"):
            await blobs.adopt(f"{operation}/1/result", blobs.staging(operation, 1) / "result")

    async def test_an_adopted_file_moves_in(self, blobs: BlobStore) -> None:
        """It is the store's from then on."""
        operation = an_operation().id
        file = staged(blobs, operation, b"a large result")
        blob = await blobs.adopt(f"{operation}/1/result", file)
        assert blob == Blob(f"{operation}/1/result", 14, hashlib.sha256(b"a large result").hexdigest())
        assert (await blobs.local_path(blob.name)).read_bytes() == b"a large result"
        assert not file.exists()

    async def test_runs_of_one_operation_do_not_touch_each_others_files(self, blobs: BlobStore) -> None:
        """A run that lost its lease cannot overwrite the result of the next."""
        operation = an_operation().id
        for run in (1, 2):
            await blobs.put(f"{operation}/{run}/result", pieces(b"run %d" % run))
        assert (await blobs.local_path(f"{operation}/1/result")).read_bytes() == b"run 1"
        assert blobs.staging(operation, 1) != blobs.staging(operation, 2)

    async def test_many_files_of_one_operation_are_put_at_once(self, blobs: BlobStore) -> None:
        """As a form with several uploads does."""
        operation = an_operation().id
        names = [f"{operation}/0/file-{number}" for number in range(20)]
        await asyncio.gather(*[blobs.put(name, pieces(name.encode())) for name in names])
        for name in names:
            assert (await blobs.local_path(name)).read_bytes() == name.encode()

    async def test_removing_operations_forgets_their_files_and_no_others(self, blobs: BlobStore) -> None:
        """Staged files included; unknown ids are no error."""
        gone, kept = an_operation().id, an_operation().id
        for operation in (gone, kept):
            await blobs.put(f"{operation}/0/body", pieces(b"body"))
        left = staged(blobs, gone, b"left by a run that died")
        await blobs.remove_operations([gone, an_operation().id])
        await blobs.remove_operations([gone])
        assert not left.exists()
        assert (await blobs.local_path(f"{kept}/0/body")).read_bytes() == b"body"
        with pytest.raises(KeyError):
            await blobs.local_path(f"{gone}/0/body")

    async def test_a_put_whose_source_fails_leaves_no_file(self, blobs: BlobStore) -> None:
        """A client that disconnects in the middle of an upload leaves nothing to be mistaken for it."""
        name = f"{an_operation().id}/0/body"

        async def broken() -> AsyncIterator[bytes]:
            yield b"half of"
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await blobs.put(name, broken())
        with pytest.raises(KeyError):
            await blobs.local_path(name)

    async def test_a_failed_put_keeps_the_file_that_was_there(self, blobs: BlobStore) -> None:
        """A name changes at once or not at all."""
        name = f"{an_operation().id}/0/body"
        await blobs.put(name, pieces(b"whole"))

        async def broken() -> AsyncIterator[bytes]:
            yield b"half of"
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await blobs.put(name, broken())
        assert (await blobs.local_path(name)).read_bytes() == b"whole"


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    """Yield the chunks."""
    for chunk in chunks:
        yield chunk


def staged(blobs: BlobStore, operation: str, content: bytes) -> Path:
    """Leave a file where the first run of an operation may leave one."""
    folder = blobs.staging(operation, 1)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "report.pdf"
    file.write_bytes(content)
    return file
