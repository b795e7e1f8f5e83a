"""Blobs in PostgreSQL keep the promises of BlobStore, and their own."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from raincheck.locations import PostgresDatabase, location
from raincheck.stores.postgres import PostgresStore
from raincheck.stores.postgres.blobs import PostgresBlobs
from raincheck.testing.conformance import BlobStoreConformance
from raincheck.testing.conformance.blobs import pieces
from raincheck.testing.conformance.specimens import an_operation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    """Provide an open, empty store."""
    database = location(postgres_url)
    assert isinstance(database, PostgresDatabase)
    store = PostgresStore(database)
    await store.open()
    yield store
    await store.close()


def on_machine(store: PostgresStore, folder: Path) -> PostgresBlobs:
    """Return the blobs as one machine of a fleet has them."""
    return PostgresBlobs(pool=store.pool, schema=store.database.schema, folder=folder)


@pytest.fixture
def blobs(store: PostgresStore, tmp_path: Path) -> PostgresBlobs:
    """Provide an empty blob store."""
    return on_machine(store, tmp_path / "here")


class TestPostgresBlobs(BlobStoreConformance):
    """All that any blob store promises."""

    async def test_what_one_machine_puts_another_reads(self, store: PostgresStore, tmp_path: Path) -> None:
        """The upload that a web node took is run elsewhere."""
        here, there = on_machine(store, tmp_path / "here"), on_machine(store, tmp_path / "there")
        content = bytes(range(256)) * 10_000
        blob = await here.put(f"{an_operation().id}/0/body", pieces(content))
        assert (await there.local_path(blob.name)).read_bytes() == content

    async def test_a_file_put_again_is_read_anew(self, store: PostgresStore, tmp_path: Path) -> None:
        """A local copy of the former one is not mistaken for it."""
        here, there = on_machine(store, tmp_path / "here"), on_machine(store, tmp_path / "there")
        name = f"{an_operation().id}/0/body"
        for content in (b"first", b"other"):
            await here.put(name, pieces(content))
            assert (await there.local_path(name)).read_bytes() == content

    async def test_a_put_that_fails_in_the_middle_is_no_file(self, blobs: PostgresBlobs, store: PostgresStore) -> None:
        """Nor do its pieces stay."""
        name = f"{an_operation().id}/0/body"

        async def broken() -> AsyncIterator[bytes]:
            yield bytes(3 << 20)
            msg = "the client hung up"
            raise ConnectionResetError(msg)

        with pytest.raises(ConnectionResetError):
            await blobs.put(name, broken())
        with pytest.raises(KeyError):
            await blobs.local_path(name)
        assert await count(store, "blob_pieces") == 0

    async def test_files_of_a_submit_that_was_never_committed_go(
        self, blobs: PostgresBlobs, store: PostgresStore
    ) -> None:
        """Only old ones, and only of operations that the store does not know."""
        orphan, kept = an_operation().id, an_operation().id
        for operation in (orphan, kept):
            await blobs.put(f"{operation}/0/body", pieces(b"body"))

        async def known(_: Sequence[str]) -> set[str]:
            return {kept}

        now = store.clock.now()
        assert await blobs.sweep(known, older_than=now - timedelta(hours=1)) == []
        assert await blobs.sweep(known, older_than=now + timedelta(hours=1)) == [orphan]
        assert (await blobs.local_path(f"{kept}/0/body")).read_bytes() == b"body"
        with pytest.raises(KeyError):
            await blobs.local_path(f"{orphan}/0/body")

    async def test_linked_inputs_live_on_without_the_former_operation(self, blobs: PostgresBlobs) -> None:
        """A rerun has the inputs and not the results."""
        former, rerun = an_operation().id, an_operation().id
        for name in ("0/body", "0/file-1", "1/result"):
            await blobs.put(f"{former}/{name}", pieces(name.encode()))
        await blobs.link_inputs(former, rerun)
        await blobs.remove_operations([former])
        for name in ("0/body", "0/file-1"):
            assert (await blobs.local_path(f"{rerun}/{name}")).read_bytes() == name.encode()
        with pytest.raises(KeyError):
            await blobs.local_path(f"{rerun}/1/result")


async def count(store: PostgresStore, table: str) -> int:
    """Return how many rows a table has."""
    text = f"SELECT count(*) FROM {store.database.schema}.{table}"
    return int(await store.pool.read(lambda connection: connection.fetchval(text)))
