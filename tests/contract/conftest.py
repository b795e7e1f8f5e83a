"""Real servers, with one process and with two; every request may then meet another process."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3

import pytest

from tests.contract.receiver import SECRET, Receiver
from tests.contract.serving import Server

_RUNNING: list[Server] = []
ONE, TWO, FLEET = "one-process", "two-processes", "fleet-on-postgresql"
SLICE = {"test_changes", "test_idempotency", "test_status", "test_streams", "test_socket"}
"""Modules whose tests run on PostgreSQL too, with a web process that runs nothing and a worker program beside it."""
STORE = os.environ.get("CONTRACT_STORE", "")


def pytest_generate_tests(metafunc):
    """Run each test of a server with one process and with two; on a fleet those of the slice.

    ``CONTRACT_STORE=postgresql`` runs all tests on PostgreSQL, in each way.
    """
    if "server" in metafunc.fixturenames:
        fleet = STORE == "postgresql" or metafunc.module.__name__.rpartition(".")[2] in SLICE
        metafunc.parametrize("server", [ONE, TWO, *([FLEET] if fleet else [])], indirect=True, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show what the servers printed while a test failed."""
    before = getattr(item, "_printed_before", {})
    report = yield
    if report.when == "call" and report.failed:
        for server in _RUNNING:
            printed = server.log[before.get(server.port, 0) :]
            if printed.strip():
                report.sections.append((f"server on port {server.port}", printed[-8000:]))
    return report


@pytest.fixture(autouse=True)
def _remember_logs(request):
    """Remember where the servers' logs stood before the test."""
    request.node._printed_before = {server.port: len(server.log) for server in _RUNNING}


@pytest.fixture(scope="session")
def in_postgresql(request):
    """Return the settings of a schema that nobody has used; the database starts when the first one is asked for."""
    numbers = itertools.count(1)
    return lambda: {"store": f"{request.getfixturevalue('postgres').url()}?schema=contract_{next(numbers)}"}


@pytest.fixture(scope="session")
def fresh_store(in_postgresql):
    """Return the settings of a store that nobody has used; a file in the server's folder by default."""
    return in_postgresql if STORE == "postgresql" else dict


@pytest.fixture
def expire(request):
    """Make an operation expire, in the store of a server that has stopped."""
    change = "UPDATE {}operations SET expires_at = 1 WHERE id = '{}'"

    def expire(server, operation_id):
        if "postgresql" in server.store:
            schema = server.store.partition("schema=")[2]
            request.getfixturevalue("postgres").psql(change.format(f"{schema}.", operation_id))
            return
        with contextlib.closing(sqlite3.connect(server.folder / "operations.db", isolation_level=None)) as database:
            database.execute(change.format("", operation_id))

    return expire


@pytest.fixture(scope="session")
def start_server(tmp_path_factory, fresh_store):
    """Start servers; whatever still runs ends with the session."""
    stores = {}

    def start(application, folder=None, **options):
        options = {**(stores.get(folder) or fresh_store()), **options}
        server = Server(application, folder or tmp_path_factory.mktemp(application), **options)
        server.store = str(options.get("store", "sqlite"))
        stores[server.folder] = {name: options[name] for name in ("store",) if name in options}
        _RUNNING.append(server)
        return server

    yield start
    for server in _RUNNING:
        server.stop()
    _RUNNING.clear()


@pytest.fixture(scope="session")
def server(request, start_server, in_postgresql):
    """A server where callers own what they submit."""
    if request.param == FLEET:
        return start_server("owned", elsewhere=True, **in_postgresql())
    return start_server("owned", processes=2 if request.param == TWO else 1)


@pytest.fixture(scope="session")
def unowned(start_server):
    """A server without an owner rule."""
    return start_server("unowned")


@pytest.fixture(scope="session")
def hasty(start_server):
    """A server whose seconds and minutes are tenths of seconds."""
    return start_server("hasty")


@pytest.fixture(scope="session")
def receiver():
    """A receiver of webhooks."""
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(scope="session")
def calling(start_server, receiver):
    """Two processes that send webhooks to the receiver."""
    os.environ |= {"CONTRACT_RECEIVER": receiver.url, "CONTRACT_SECRET": SECRET}
    return start_server("calling", processes=2)


@pytest.fixture(scope="session")
def asking(start_server, receiver):
    """A server that asks receivers for their consent first."""
    os.environ |= {"CONTRACT_RECEIVER": receiver.url, "CONTRACT_SECRET": SECRET}
    return start_server("asking")


@pytest.fixture(scope="session")
def small(start_server):
    """A server with small limits that runs no work."""
    return start_server("few", workers=False, max_queued=3, max_body="64KiB")


@pytest.fixture(scope="session")
def rooted(start_server):
    """A server behind a proxy that strips ``/api``, with an application mounted in another."""
    return start_server("mounted", arguments=("--root-path", "/api"))


@pytest.fixture
def caller(server):
    """A caller whom nobody was before."""
    return server.caller()


@pytest.fixture
def other(server):
    """Another caller."""
    return server.caller()
