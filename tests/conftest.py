"""What every test shares."""

from __future__ import annotations

import itertools

import pytest

from tests.postgres.server import PostgresServer

_NUMBERS = itertools.count(1)


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server, started by the first test that asks for it."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres):
    """The URL of a schema that nobody has used."""
    return f"{postgres.url()}?schema=test_{next(_NUMBERS)}"
