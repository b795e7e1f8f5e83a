"""What the tests of submits share."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from fastapi.testclient import TestClient

from raincheck.fastapi.submission import Submitter
from tests.fastapi.submits.application import FastAPIsWay, application


@dataclass
class Ways:
    """Which way each submit went."""

    taken: list[str] = field(default_factory=list)


@pytest.fixture
def ways(monkeypatch) -> Ways:
    """Note for each submit whether FastAPI prepared a response for it: the short way has none."""
    found, accept = Ways(), Submitter.accept

    async def noting(self, request, values, *, owner, response):
        found.taken.append("short" if response is None else "FastAPI's")
        return await accept(self, request, values, owner=owner, response=response)

    monkeypatch.setattr(Submitter, "accept", noting)
    return found


@pytest.fixture(scope="module")
def both():
    """The same application twice: with the short way, and without."""
    with (
        TestClient(application(), raise_server_exceptions=False) as short,
        TestClient(application(FastAPIsWay), raise_server_exceptions=False) as whole,
    ):
        yield short, whole
