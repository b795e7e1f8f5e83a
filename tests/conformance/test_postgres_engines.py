"""The engines that keep their queue in PostgreSQL keep the promises of Engine."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from raincheck.engine_choice import chosen_engine
from raincheck.locations import PostgresDatabase, location
from raincheck.settings import Settings
from raincheck.stores.postgres import PostgresStore
from raincheck.stores.postgres.connecting import connect
from raincheck.testing.conformance import (
    EngineConformance,
    FragileEngineConformance,
    TransactionalEngineConformance,
)
from tests.postgres.server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from raincheck.ports_engines import Engine

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["pgqueuer", "procrastinate"])
async def name(request: pytest.FixtureRequest) -> str:
    """Name an engine that keeps its queue in PostgreSQL."""
    return str(request.param)


@pytest.fixture
async def database(postgres_url: str) -> PostgresDatabase:
    """Provide a schema with Raincheck's tables."""
    return await prepared(postgres_url)


@pytest.fixture
async def make(name: str, database: PostgresDatabase) -> Callable[[], Engine]:
    """Make engines on the schema."""
    return maker(name, f"{database.url}?schema={database.schema}")


async def prepared(url: str) -> PostgresDatabase:
    """Make Raincheck's tables, as the start of the store does before the engine's."""
    database = location(url)
    assert isinstance(database, PostgresDatabase)
    store = PostgresStore(database)
    await store.open()
    await store.close()
    return database


def maker(name: str, url: str) -> Callable[[], Engine]:
    """Return what makes engines of a name."""

    def made() -> Engine:
        engine = chosen_engine(None, Settings(store=url, engine=name))
        assert engine is not None
        return engine

    return made


class TestEngine(EngineConformance):
    """All that any engine promises."""


class TestTransactionalEngine(TransactionalEngineConformance):
    """Its messages count with the transaction of the store."""

    @pytest.fixture
    async def connection(self, database: PostgresDatabase) -> AsyncIterator[object]:
        """Provide a connection such as the store's writer has."""
        opened = await connect(database)
        yield opened
        await opened.close()


class TestFragileEngine(FragileEngineConformance):
    """A server that crashed and came back."""

    @pytest.fixture
    def server(self):
        """Provide a server that may be stopped."""
        made = PostgresServer()
        yield made
        made.close()

    @pytest.fixture
    async def make(self, name: str, server: PostgresServer) -> Callable[[], Engine]:
        """Make engines on that server."""
        url = f"{server.url()}?schema=test_{name}"
        await prepared(url)
        return maker(name, url)

    @pytest.fixture
    def outage(self, server: PostgresServer) -> Callable[[], contextlib.AbstractAsyncContextManager[None]]:
        """Stop the server, and start it again."""

        @contextlib.asynccontextmanager
        async def away() -> AsyncIterator[None]:
            server.stop()
            try:
                yield
            finally:
                server.start()

        return away
