"""The PostgreSQL store keeps the promises of the store ports."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from raincheck.locations import PostgresDatabase, location
from raincheck.stores.postgres import PostgresStore
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

    from raincheck.testing.conformance.durability import Reopen, Stores


@pytest.fixture
async def opened_stores() -> AsyncIterator[AsyncExitStack]:
    """Close every store that a test opened, also after a failure."""
    async with AsyncExitStack() as stack:
        yield stack


async def opened(url: str, stack: AsyncExitStack) -> PostgresStore:
    """Open a store that is closed when the test ends."""
    database = location(url)
    assert isinstance(database, PostgresDatabase)
    store = PostgresStore(database)
    await store.open()
    stack.push_async_callback(store.close)
    return store


class TestPostgresStore(
    OperationStoreConformance,
    OutboxConformance,
    TicketConformance,
    DeliveryConformance,
    DurableStoreConformance,
    DurableDeliveryConformance,
    SharedStoreConformance,
    SharedDeliveryConformance,
    SharedTicketConformance,
):
    """One schema: durable, and shared by any number of machines."""

    @pytest.fixture
    async def store(self, postgres_url: str, opened_stores: AsyncExitStack) -> PostgresStore:
        """Provide an open, empty store."""
        return await opened(postgres_url, opened_stores)

    @pytest.fixture
    async def reopen(self, postgres_url: str, opened_stores: AsyncExitStack) -> Reopen:
        """Provide a way to close the store and open its schema again."""

        async def again() -> PostgresStore:
            await opened_stores.aclose()
            return await opened(postgres_url, opened_stores)

        return again

    @pytest.fixture
    async def stores(self, postgres_url: str, opened_stores: AsyncExitStack) -> Stores:
        """Provide two stores in one schema."""
        return await opened(postgres_url, opened_stores), await opened(postgres_url, opened_stores)
