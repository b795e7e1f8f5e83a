"""What the tests of submits share."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from fastapi.testclient import TestClient

from raincheck.fastapi.submission import Submitter
from raincheck.fastapi.submit_route import _ShortWay
from tests.fastapi.submits.application import FastAPIsWay, application


@dataclass
class Ways:
    """Which way each submit went."""

    taken: list[str] = field(default_factory=list)


@pytest.fixture
def ways(monkeypatch) -> Ways:
    """Note for each submit who read it: the short way, the one with dependencies, or FastAPI's handler."""
    found, accept, solve = Ways(), Submitter.accept, _ShortWay._after_dependencies

    async def noting(self, request, values, *, owner, response):
        found.taken.append("short" if response is None else request.scope.get("tests.way", "FastAPI's"))
        return await accept(self, request, values, owner=owner, response=response)

    async def solving(self, state, request, document):
        request.scope["tests.way"] = "dependencies"
        return await solve(self, state, request, document)

    monkeypatch.setattr(Submitter, "accept", noting)
    monkeypatch.setattr(_ShortWay, "_after_dependencies", solving)
    return found


@pytest.fixture(scope="module")
def both():
    """The same application twice: with the short way, and without."""
    with (
        TestClient(application(), raise_server_exceptions=False) as short,
        TestClient(application(FastAPIsWay), raise_server_exceptions=False) as whole,
    ):
        yield short, whole
