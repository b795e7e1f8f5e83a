"""Stores in a PostgreSQL server of the tests' own."""

from __future__ import annotations

from contextlib import AsyncExitStack

import asyncpg
import pytest

from raincheck.locations import PostgresDatabase, location
from raincheck.stores.postgres import PostgresStore
from tests.postgres.server import PostgresServer


@pytest.fixture(scope="session")
def fragile():
    """A server for tests that stop it."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
async def open_store():
    """Open stores by URL; whatever is open at the end is closed."""
    async with AsyncExitStack() as stack:

        async def opened(url: str, **more: str) -> PostgresStore:
            store = PostgresStore(database_at(url, **more))
            await store.open()
            stack.push_async_callback(store.close)
            return store

        yield opened


@pytest.fixture
def sent(monkeypatch):
    """Note the statements that connections opened from here on send, each with the parameters it first had."""
    found: dict[str, tuple[object, ...]] = {}
    original = asyncpg.connect

    async def spied(*arguments, **options):
        connection = await original(*arguments, **options)
        connection.add_query_logger(lambda query: found.setdefault(query.query, query.args))
        return connection

    monkeypatch.setattr(asyncpg, "connect", spied)
    return found


def database_at(url: str, **more: str) -> PostgresDatabase:
    """Return the database that a URL names."""
    found = location(url, **more)
    assert isinstance(found, PostgresDatabase)
    return found
