"""The short way of a submit is heard by what listens inside FastAPI."""

from __future__ import annotations

import functools
from typing import Any

import fastapi.routing
import pytest
import starlette.routing
from fastapi import FastAPI, Response
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from raincheck import Raincheck
from tests.fastapi.submits.application import ORDER, application, declare


def listening(function: Any, calls: list[str]) -> Any:
    """Return a function that tells of its calls, and looks like the one that it calls."""

    @functools.wraps(function)
    def telling(*arguments: Any, **named: Any) -> Any:
        calls.append("heard")
        return function(*arguments, **named)

    return telling


class Proxy:
    """Stands for a function and claims to be one, as wrapt's wrappers do."""

    def __init__(self, function: Any, calls: list[str]) -> None:
        self.function, self.calls = function, calls
        self.__globals__ = function.__globals__

    @property
    def __class__(self):
        return type(self.function)

    def __get__(self, instance: Any, owner: Any) -> Any:
        return functools.partial(self, instance) if instance is not None else self

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.calls.append("heard")
        return self.function(*arguments, **named)


def making(function: Any, calls: list[str]) -> Any:
    """Return a function that makes asynchronous functions which tell of their calls."""

    @functools.wraps(function)
    def make(*arguments: Any, **named: Any) -> Any:
        made = function(*arguments, **named)

        @functools.wraps(made)
        async def telling(*given: Any) -> Any:
            calls.append("heard")
            return await made(*given)

        return telling

    return make


MAKERS = [
    (fastapi.routing, "get_request_handler"),
    (fastapi.routing, "request_response"),
    (APIRoute, "get_route_handler"),
]
CALLED = [
    (fastapi.routing, "run_endpoint_function"),
    (fastapi.routing, "solve_dependencies"),
    (APIRoute, "handle"),
    (starlette.routing.Route, "handle"),
]


class TestTools:
    """Sentry, Datadog, New Relic and Logfire put functions of their own into FastAPI."""

    @pytest.mark.parametrize(("owner", "name"), MAKERS, ids=[row[1] for row in MAKERS])
    def test_one_that_listens_to_handlers_hears_of_submits(self, monkeypatch, owner, name):
        """It has to start before the routes are declared."""
        calls: list[str] = []
        monkeypatch.setattr(owner, name, making(getattr(owner, name), calls))
        with TestClient(application()) as client:
            assert calls == []
            assert client.post("/orders", json=ORDER).status_code == 200
        assert calls == ["heard"]

    @pytest.mark.parametrize("listen", [listening, Proxy])
    @pytest.mark.parametrize("started", ["before", "between", "after the first"])
    @pytest.mark.parametrize(("owner", "name"), CALLED, ids=[f"{row[0].__name__}.{row[1]}" for row in CALLED])
    def test_one_that_listens_inside_hears_of_submits(self, monkeypatch, owner, name, started, listen):
        """Whenever it starts."""
        calls: list[str] = []

        def start() -> None:
            monkeypatch.setattr(owner, name, listen(getattr(owner, name), calls))

        if started == "before":
            start()
        app = application()
        if started == "between":
            start()
        with TestClient(app) as client:
            if started == "after the first":
                assert client.post("/orders", json=ORDER).status_code == 200
                start()
            assert client.post("/orders", json=ORDER).status_code == 200
        assert calls == ["heard"]

    @pytest.mark.parametrize("first", [True, False])
    def test_one_that_wraps_an_endpoint_is_given_all_of_it(self, ways, first):
        """A wrapper may use the response that FastAPI prepares."""
        app = application()
        dependant = next(route for route in app.routes if getattr(route, "path", "") == "/orders").dependant
        own = dependant.call

        async def wrapper(**values: Any) -> Response:
            values["raincheck_response"].headers["x-wrapped"] = "yes"
            return await own(**values)

        with TestClient(app) as client:
            if first:
                assert client.post("/orders", json=ORDER).status_code == 200
            dependant.call = wrapper
            assert client.post("/orders", json=ORDER).headers["x-wrapped"] == "yes"
        assert ways.taken == ["short", "FastAPI's"][1 - first :]

    def test_a_guard_around_the_application_of_a_route_is_asked(self, ways):
        """Some wrap ``route.app``."""
        app = application()
        route = next(route for route in app.routes if getattr(route, "path", "") == "/orders")

        async def refuse(scope: Any, receive: Any, send: Any) -> None:
            await Response(status_code=401)(scope, receive, send)

        route.app = refuse
        with TestClient(app) as client:
            assert client.post("/orders", json=ORDER).status_code == 401
        assert ways.taken == []


def test_fastapis_own_spans_include_those_of_submits(ways):
    """With its telemetry on, validation and the endpoint have a span each."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = FastAPI(telemetry={"tracer_provider": provider})
    declare(Raincheck(app, store="memory:"))
    with TestClient(app) as client:
        assert client.post("/orders", json=ORDER).status_code == 200
    names = " ".join(span.name for span in exporter.get_finished_spans())
    assert "dependencies" in names
    assert "endpoint" in names
    assert ways.taken == ["FastAPI's"]
