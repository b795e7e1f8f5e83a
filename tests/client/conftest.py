"""A server for the client's tests, and both sides of the client."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.client.sides import client_of
from tests.readers.serving import Server

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that is left alone."""
    started = Server(tmp_path_factory.mktemp("client"), home=HERE)
    yield started
    started.kill()


@pytest.fixture
def own_server(tmp_path):
    """A server that a test may kill."""
    started = Server(tmp_path, home=HERE)
    yield started
    started.kill()


@pytest.fixture(params=["sync", "async"])
def side(request):
    """Each test says what both sides of the client do."""
    return request.param


@pytest.fixture
def name():
    """A name that no other test uses."""
    return f"n{uuid.uuid4().hex}"


@pytest.fixture
def client(side, server, name):
    """A client whose operations are nobody else's."""
    with client_of(side, f"http://127.0.0.1:{server.port}", headers={"X-Caller": name}) as opened:
        yield opened
