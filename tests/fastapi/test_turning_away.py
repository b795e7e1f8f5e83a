"""Requests that cannot be ours pass by without being compared with our routes."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Match, NoMatchFound, Route

from raincheck import Raincheck
from raincheck.fastapi.turning_away import RoutesUnder


class Counting(Route):
    """A route that counts how often it was compared with a request."""

    compared = 0

    def matches(self, scope):
        """Count, and compare."""
        self.compared += 1
        return super().matches(scope)


async def nothing(scope, receive, send):
    """Answer nothing."""


def test_a_foreign_path_is_compared_with_no_route():
    """One look at the path settles it, however many routes there are."""
    route = Counting("/operations/ws", nothing, name="socket")
    routes = RoutesUnder("/operations", [route])
    scope = {"type": "http", "method": "GET", "path": "/reports", "headers": []}
    assert routes.matches(scope) == (Match.NONE, {})
    assert route.compared == 0
    match, _ = routes.matches({**scope, "path": "/operations/ws"})
    assert (match, route.compared) == (Match.FULL, 1)


def test_paths_of_routes_are_found_by_name():
    """``url_path_for`` of an application asks each of its routes, and goes on after ours."""
    routes = RoutesUnder("/operations", [Route("/operations/a", nothing, name="a")])
    assert routes.url_path_for("a") == "/operations/a"
    with pytest.raises(NoMatchFound):
        routes.url_path_for("b")
    app = FastAPI()
    Raincheck(app, store="memory:")

    @app.get("/later")
    async def later() -> None:
        """Stand behind the operation routes."""

    assert app.url_path_for("later") == "/later"
    assert app.url_path_for("get_operation", operation_id="op_1") == "/operations/op_1"


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("root_path", ["", "/outer"])
def test_ours_are_found_wherever_the_application_is(prefix, root_path):
    """Behind a prefix of ours and behind a root path of the server."""
    app = FastAPI()
    Raincheck(app, store="memory:", prefix=prefix)
    with TestClient(app, root_path=root_path) as client:
        for path in (f"{prefix}/operations/op_1", f"{root_path}{prefix}/operations/op_1/events"):
            assert client.get(path).json()["type"] == "urn:raincheck:problem:operation-not-found"
