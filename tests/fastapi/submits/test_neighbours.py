"""The short way of a submit goes past nothing that an application puts around or into a route."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from pydantic import BaseModel, field_validator

from raincheck import Raincheck
from tests.fastapi.submits.application import (
    JSON,
    ORDER,
    TEXT,
    FastAPIsWay,
    Order,
    answers,
    application,
    declare,
    included,
)


@pytest.mark.skipif("max_body_size" not in inspect.signature(FastAPI).parameters, reason="this FastAPI has no limit")
def test_limits_of_the_body_hold(ways):
    """FastAPI's own, of an inclusion and of the application."""
    app = FastAPI(max_body_size=1000)
    included(app, Raincheck(app, store="memory:"), max_body_size=100)
    with TestClient(app) as client:
        assert client.post("/closed/orders", json={"sku": "A" * 100}).status_code == 413
        assert client.post("/open/orders", json={"sku": "A" * 100}).status_code == 422
        assert client.post("/open/orders", json={"sku": "A" * 1000}).status_code == 413
        assert client.post("/closed/orders", json=ORDER).status_code == 200
    assert ways.taken == ["short"]


def test_a_prefix_may_hold_a_value(ways):
    """What is a query parameter on the route itself is a part of the path where it is included so."""
    app = FastAPI()
    rain = Raincheck(app, store="memory:")
    router = rain.router()

    @router.post("/orders", wait=5)
    async def order(tenant: str, order: Order) -> Any:
        """Take both."""
        return tenant, order.sku

    app.include_router(router, prefix="/tenants/{tenant}")
    with TestClient(app) as client:
        assert client.post("/tenants/acme/orders", json=ORDER).json() == ["acme", "A-1"]
    assert ways.taken == ["short"]


class Boom(Exception):
    """An error that an application knows, and answers."""


class Fragile(BaseModel):
    """A model whose validator breaks."""

    text: str

    @field_validator("text")
    @classmethod
    def _breaks(cls, text: str) -> str:
        raise Boom(text)


@pytest.mark.parametrize("route_class", [APIRoute, FastAPIsWay])
def test_a_handler_of_exceptions_can_read_the_body(ways, route_class):
    """It gets the request whose body was read; what it raises itself is answered too."""
    app = FastAPI()
    app.router.route_class = route_class
    rain = Raincheck(app, store="memory:")

    @rain.post("/fragile")
    async def fragile(value: Fragile) -> None:
        """Break."""

    @app.exception_handler(Boom)
    async def boom(request: Request, error: Boom) -> Response:
        if str(error) == "translate":
            raise HTTPException(404, "translated")
        return Response(b"had " + await request.body(), 418)

    with TestClient(app) as client:
        told = client.post("/fragile", json={"text": "a"})
        assert (told.status_code, told.content) == (418, b'had {"text":"a"}')
        assert client.post("/fragile", json={"text": "translate"}).json() == {"detail": "translated"}
    assert ways.taken == []


@pytest.mark.parametrize("route_class", [APIRoute, FastAPIsWay])
def test_a_channel_that_fails_is_answered_as_ever(route_class):
    """A middleware may raise where the body is read."""
    app = application(route_class)

    class Failing:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def fail() -> Any:
                msg = "a bad signature"
                raise ValueError(msg)

            await self.app(scope, fail if scope["type"] == "http" else receive, send)

    app.add_middleware(Failing)
    with TestClient(app) as client:
        answer = client.post("/orders", json=ORDER)
    assert (answer.status_code, answer.json()) == (400, {"detail": "There was an error parsing the body"})


def test_a_request_that_another_endpoint_hands_on_is_read_by_the_route_it_reaches(both):
    """Its scope still names the route that it came to."""
    app = FastAPI()
    rain = Raincheck(app, store="memory:")
    declare(rain)
    target = next(route for route in app.routes if getattr(route, "path", "") == "/orders")

    class Handed(Response):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await target.handle(scope, receive, send)

    @app.post("/alias")
    async def alias() -> Response:
        return Handed()

    with TestClient(app) as client:
        assert client.post("/alias", json=ORDER).text == answers(both[1], "/orders", JSON, TEXT)[2]
