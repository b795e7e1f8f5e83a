"""What every test shares."""

from __future__ import annotations

import itertools
import os

import pytest

from tests.engines.backends import Brokers, new_place
from tests.postgres.server import PostgresServer

_NUMBERS = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what takes minutes to ``make long``."""
    if os.environ.get("LONG_TESTS") or os.environ.get("CHAOS_DEEP"):
        return
    for item in items:
        if item.get_closest_marker("long") is not None:
            item.add_marker(pytest.mark.skip(reason="takes long: `make long` runs it"))


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


@pytest.fixture(scope="session")
def brokers():
    """The brokers of engines, each started by the first test that asks for it."""
    made = Brokers()
    yield made
    made.close()


@pytest.fixture(scope="session")
def place(request, brokers):
    """Return a place on a backend that nobody has used; what it needs starts when it is asked for."""
    return lambda backend: new_place(backend, postgres=lambda: request.getfixturevalue("postgres"), brokers=brokers)


@pytest.fixture
def postgres_url(postgres):
    """The URL of a schema that nobody has used."""
    return f"{postgres.url()}?schema=test_{next(_NUMBERS)}"
