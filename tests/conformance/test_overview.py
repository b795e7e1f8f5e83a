"""What the operator's page asks is answered alike by every store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from raincheck.locations import PostgresDatabase, location
from raincheck.stores.memory import MemoryStore
from raincheck.stores.memory_overview import MemoryOverview
from raincheck.stores.postgres import PostgresStore
from raincheck.stores.postgres.overview import PostgresOverview
from raincheck.stores.sqlite import SqliteStore
from raincheck.stores.sqlite.overview import SqliteOverview
from raincheck.testing.conformance import OverviewConformance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class TestMemoryOverview(OverviewConformance):
    """Over the records of a memory store."""

    @pytest.fixture
    async def store(self, anyio_backend: str) -> MemoryStore:
        """Provide an open, empty store."""
        store = MemoryStore()
        await store.open()
        return store

    @pytest.fixture
    async def overview(self, store: MemoryStore) -> MemoryOverview:
        """Provide what looks at it."""
        return MemoryOverview(store)


class TestSqliteOverview(OverviewConformance):
    """Beside a store on the same file."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:
        """Provide an open, empty store."""
        store = SqliteStore(tmp_path / "raincheck.db")
        await store.open()
        yield store
        await store.close()

    @pytest.fixture
    async def overview(self, store: SqliteStore) -> AsyncIterator[SqliteOverview]:
        """Provide what looks at its file."""
        overview = SqliteOverview(store.path)
        await overview.open()
        yield overview
        await overview.close()


class TestPostgresOverview(OverviewConformance):
    """Beside a store in the same schema."""

    @pytest.fixture
    async def store(self, postgres_url: str) -> AsyncIterator[PostgresStore]:
        """Provide an open, empty store."""
        database = location(postgres_url)
        assert isinstance(database, PostgresDatabase)
        store = PostgresStore(database)
        await store.open()
        yield store
        await store.close()

    @pytest.fixture
    async def overview(self, store: PostgresStore) -> AsyncIterator[PostgresOverview]:
        """Provide what looks at its schema."""
        overview = PostgresOverview(store.database)
        await overview.open()
        yield overview
        await overview.close()
