"""Real servers, with one process and with two; every request may then meet another process.

Tests share servers: each is started when a test first asks for it, and all end when the tests of another folder begin,
since even an idle server looks at its database many times a second.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zlib
from pathlib import Path

import pytest

from tests.contract.receiver import SECRET, Receiver
from tests.contract.serving import Server
from tests.engines import backends

HERE = Path(__file__).resolve().parent
_RUNNING: list[Server] = []
_SHARED: dict[str, Server] = {}
ONE, TWO = "one-process", "two-processes"
SLICE = {
    "test_changes": "postgresql+procrastinate",
    "test_idempotency": "postgresql+embedded",
    "test_socket": "postgresql+pgqueuer",
    "test_status": "sqlite+celery-redis",
    "test_streams": "postgresql+pgqueuer",
    "test_stream_ends": "postgresql+taskiq-redis",
    "test_streams_of_many": "postgresql+pgqueuer",
    "test_tickets": "sqlite+taskiq-nats",
    "test_waiting": "postgresql+taskiq-nats",
}
"""Modules whose tests run on a fleet too, a web process that runs nothing and a worker program; and its backend."""
PLACE = ("store", "engine", "broker", "broker_prefix", "celery")
CHOSEN = backends.chosen()


def pytest_generate_tests(metafunc):
    """Run each test of a server with one process or with two; those of the slice on a fleet too.

    With ``BACKEND=postgresql+procrastinate`` every server has this one, and every test of a server runs on a fleet too.
    """
    if "server" in metafunc.fixturenames:
        way = [ONE, TWO][zlib.crc32(metafunc.function.__name__.encode()) % 2]
        fleet = CHOSEN or SLICE.get(metafunc.module.__name__.rpartition(".")[2])
        metafunc.parametrize("server", [way, *([f"fleet-on-{fleet}"] if fleet else [])], indirect=True)


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """End all servers after the last test of this folder."""
    yield
    if nextitem is None or HERE not in nextitem.path.parents:
        end(_RUNNING)


def end(servers):
    """Ask all to end, then wait for each."""
    for server in servers:
        if server.process.poll() is None:
            server.terminate()
    for server in list(servers):
        server.stop()
        _RUNNING.remove(server)
    for name in [name for name, server in _SHARED.items() if server not in _RUNNING]:
        del _SHARED[name]


@pytest.fixture(scope="session", autouse=True)
def _end_of_session():
    """End all servers also where the session ends early."""
    yield
    end(_RUNNING)


@pytest.fixture(autouse=True)
def _remember_logs(request):
    """Remember where the servers' logs stood before the test."""
    request.node._printed_before = {server.port: len(server.log) for server in _RUNNING}


@pytest.fixture(scope="session")
def fresh(place):
    """Return the options of a server on a backend that nobody has used."""

    def fresh(backend):
        made = place(backend)
        return {**made.settings, "celery": made.celery}

    return fresh


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
def launch(tmp_path_factory, fresh):
    """Start servers; a server in the folder of one before has its store."""
    places = {}

    def launched(application, folder=None, **options):
        options = {**(places[folder] if folder in places else fresh(CHOSEN) if CHOSEN else {}), **options}
        server = Server(application, folder or tmp_path_factory.mktemp(application), **options)
        server.store = str(options.get("store", "sqlite"))
        places[server.folder] = {name: options[name] for name in PLACE if name in options}
        _RUNNING.append(server)
        return server

    return launched


@pytest.fixture
def start_server(launch):
    """Start servers of the test's own, which end with it."""
    started = []

    def start(application, folder=None, **options):
        started.append(launch(application, folder, **options))
        return started[-1]

    yield start
    end(started)


@pytest.fixture(scope="session")
def shared(launch):
    """Return the server of a name; whoever asks first starts it."""

    def named(name, application, **options):
        if name not in _SHARED:
            _SHARED[name] = launch(application, **options)
        return _SHARED[name]

    return named


@pytest.fixture
def server(request, shared, fresh):
    """A server where callers own what they submit."""
    kind, _, backend = request.param.partition("-on-")
    if kind == "fleet":
        return shared(request.param, "owned", elsewhere=True, **fresh(backend))
    return shared(request.param, "owned", processes=2 if request.param == TWO else 1)


@pytest.fixture
def unowned(shared):
    """A server without an owner rule."""
    return shared("unowned", "unowned")


@pytest.fixture
def hasty(shared):
    """A server whose seconds and minutes are tenths of seconds."""
    return shared("hasty", "hasty")


@pytest.fixture(scope="session")
def receiver():
    """A receiver of webhooks."""
    made = Receiver()
    os.environ |= {"CONTRACT_RECEIVER": made.url, "CONTRACT_SECRET": SECRET}
    yield made
    made.close()


@pytest.fixture
def calling(shared, receiver):
    """Two processes that send webhooks to the receiver."""
    return shared("calling", "calling", processes=2)


@pytest.fixture
def asking(shared, receiver):
    """A server that asks receivers for their consent first."""
    return shared("asking", "asking")


@pytest.fixture
def small(shared):
    """A server with small limits that runs no work."""
    return shared("small", "few", workers=False, max_queued=3, max_body="64KiB")


@pytest.fixture
def rooted(shared):
    """A server behind a proxy that strips ``/api``, with an application mounted in another."""
    return shared("rooted", "mounted", arguments=("--root-path", "/api"))


@pytest.fixture
def caller(server):
    """A caller whom nobody was before."""
    return server.caller()


@pytest.fixture
def other(server):
    """Another caller."""
    return server.caller()
