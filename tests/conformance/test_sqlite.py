"""The SQLite store keeps the promises of the store ports."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from raincheck.stores.sqlite import SqliteStore
from raincheck.testing.conformance import (
    DeliveryConformance,
    DurableDeliveryConformance,
    DurableStoreConformance,
    OperationStoreConformance,
    OutboxConformance,
    SharedDeliveryConformance,
    SharedStoreConformance,
    SharedTicketConformance,
    TicketConformance,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from raincheck.testing.conformance.durability import Reopen, Stores


@pytest.fixture
async def files() -> AsyncIterator[AsyncExitStack]:
    """Close every store that a test opened, also after a failure."""
    async with AsyncExitStack() as stack:
        yield stack


async def opened(path: Path, files: AsyncExitStack) -> SqliteStore:
    """Open a store that is closed when the test ends."""
    store = SqliteStore(path)
    await store.open()
    files.push_async_callback(store.close)
    return store


class TestSqliteStore(
    OperationStoreConformance,
    OutboxConformance,
    TicketConformance,
    DeliveryConformance,
    DurableStoreConformance,
    DurableDeliveryConformance,
    SharedStoreConformance,
    SharedTicketConformance,
    SharedDeliveryConformance,
):
    """One file: durable, and shared by any number of processes."""

    @pytest.fixture
    async def store(self, tmp_path: Path, files: AsyncExitStack) -> SqliteStore:
        """Provide an open, empty store."""
        return await opened(tmp_path / "raincheck.db", files)

    @pytest.fixture
    async def reopen(self, tmp_path: Path, files: AsyncExitStack) -> Reopen:
        """Provide a way to close the store and open its file again."""

        async def again() -> SqliteStore:
            await files.aclose()
            return await opened(tmp_path / "raincheck.db", files)

        return again

    @pytest.fixture
    async def stores(self, tmp_path: Path, files: AsyncExitStack) -> Stores:
        """Provide two stores on one file."""
        path = tmp_path / "raincheck.db"
        return await opened(path, files), await opened(path, files)
