"""A submit whose route has dependencies is read as FastAPI reads it, whoever adds them."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Body, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.dependencies.utils import get_parameterless_sub_dependant
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from pydantic import BaseModel

from raincheck import Raincheck
from raincheck.core.errors import DefinitionError
from raincheck.fastapi.submit_route import _ShortWay
from tests.fastapi.submits.application import JSON, ORDER, FastAPIsWay, Order, answers, application, declare, included
from tests.fastapi.submits.test_values import LEFT, TAKEN

WORD = {"word": "please"}


def guard(request: Request, response: Response) -> None:
    """Let those in who know the word."""
    response.headers["x-guarded"] = "yes"
    if request.headers.get("word") != "please":
        raise HTTPException(401, "say the word")


async def counted(request: Request, x_limit: Annotated[int, Header()] = 1) -> int:
    """Take a parameter of its own, and count the calls."""
    state = request.app.state
    state.calls = getattr(state, "calls", 0) + 1
    return x_limit


async def limit_of(limit: Annotated[int, Depends(counted)]) -> int:
    """Depend on another dependency."""
    return limit


class Note(BaseModel):
    """What only a dependency reads."""

    text: str


async def text_of(note: Note) -> str:
    """Read the body."""
    return note.text


def number_as_text() -> int:
    """Give what it does not say."""
    return "5"  # type: ignore[return-value]


@pytest.fixture(scope="module")
def both():
    """The same application twice: read by the short way, and by FastAPI's handler."""
    options: dict[str, Any] = {"dependencies": [Depends(guard), Depends(counted)]}
    with (
        TestClient(application(**options), raise_server_exceptions=False) as short,
        TestClient(application(FastAPIsWay, **options), raise_server_exceptions=False) as whole,
    ):
        yield short, whole


def compared(both, path, headers, body):
    """Return the answer that both give, after as many calls of the dependency."""
    calls = [getattr(client.app.state, "calls", 0) for client in both]
    short, whole = (answers(client, path, headers, body) for client in both)
    assert short == whole
    made = [client.app.state.calls - before for client, before in zip(both, calls, strict=True)]
    assert made[0] == made[1] <= 1
    return short


@pytest.mark.parametrize(("path", "headers", "body"), [row[1:] for row in TAKEN], ids=[row[0] for row in TAKEN])
def test_values_are_fastapis(both, ways, path, headers, body):
    """Of the function and of its dependencies."""
    compared(both, path, headers | WORD, body)
    assert ways.taken == ["dependencies", "FastAPI's"]
    assert compared(both, path, headers, body)[0] == 401


@pytest.mark.parametrize(("path", "headers", "body"), [row[1:] for row in LEFT], ids=[row[0] for row in LEFT])
def test_refusals_are_fastapis(both, path, headers, body):
    """No dependency runs twice on the way to one, and none where FastAPI would not have asked it."""
    compared(both, path, headers | WORD, body)
    compared(both, path, headers | WORD | {"x-limit": "many"}, body)


def test_a_handler_of_refusals_is_given_the_same(ways):
    """The errors of dependencies and of the function together, the body, and where it was."""
    told: list[Any] = []
    for route_class in (APIRoute, FastAPIsWay):
        app = application(route_class, dependencies=[Depends(counted)])

        @app.exception_handler(RequestValidationError)
        async def refuse(request: Request, error: RequestValidationError) -> Response:
            told.append((error.errors(), error.body, error.endpoint_path))
            return JSONResponse({}, 418)

        with TestClient(app, root_path="/v1/") as client:
            wrong = {"sku": 1}
            assert client.post("/orders", json=wrong, headers={"x-limit": "many"}).status_code == 418
    assert told[0] == told[1]
    assert {error["loc"] for error in told[0][0]} == {("header", "x-limit"), ("body", "sku")}
    assert ways.taken == []


def test_a_router_that_is_included_twice_is_guarded_where_it_says_so(ways):
    """One route, two inclusions, in turns: each keeps its own."""
    app = FastAPI()
    included(app, Raincheck(app, store="memory:"), dependencies=[Depends(guard)])
    with TestClient(app) as client:
        for _ in range(3):
            assert client.post("/open/orders", json=ORDER).status_code == 200
            assert client.post("/closed/orders", json=ORDER).status_code == 401
            let_in = client.post("/closed/orders", json=ORDER, headers=WORD)
            assert (let_in.status_code, let_in.headers["x-guarded"]) == (200, "yes")
    assert ways.taken == ["short", "dependencies"] * 3


def test_an_inclusion_may_change_how_the_body_is_read(ways):
    """With a body parameter of a dependency beside it, the function's own is read from its key."""
    app = FastAPI()

    async def signed(signature: Annotated[str, Body()]) -> None:
        assert signature == "x"

    included(app, Raincheck(app, store="memory:"), dependencies=[Depends(signed)])
    with TestClient(app) as client:
        assert client.post("/open/orders", json=ORDER).status_code == 200
        assert client.post("/closed/orders", json={"order": ORDER, "signature": "x"}).status_code == 200
        assert client.post("/closed/orders", json=ORDER).status_code == 422
    assert ways.taken == ["short", "FastAPI's"]


def test_a_body_that_only_a_dependency_reads_is_read_for_it(ways):
    """The function has none of its own."""
    app = FastAPI()
    rain = Raincheck(app, store="memory:")

    @rain.post("/notes", wait=5)
    async def keep(text: Annotated[str, Depends(text_of)]) -> str:
        return text

    with TestClient(app) as client:
        assert client.post("/notes", json={"text": "é"}).json() == "é"
        assert client.post("/notes", json={"text": 1}).json()["detail"][0]["loc"] == ["body", "text"]
        assert client.post("/notes", headers=JSON).json()["detail"][0]["loc"] == ["body"]
    assert ways.taken == ["dependencies"]


def test_the_applications_own_guard_all_routes(ways):
    """``FastAPI(dependencies=…)``."""
    with TestClient(application(dependencies=[Depends(guard)])) as client:
        assert client.post("/orders", json=ORDER).status_code == 401
        assert client.post("/orders", json=ORDER, headers=WORD).status_code == 200
    assert ways.taken == ["dependencies"]


def test_an_owner_is_asked_for(ways):
    """The owner rule is a dependency as well."""
    app = FastAPI()

    async def owner(authorization: Annotated[str, Header()]) -> str:
        return authorization

    declare(Raincheck(app, store="memory:", owner=owner))
    with TestClient(app) as client:
        assert client.post("/orders", json=ORDER).status_code == 422
        assert client.post("/orders", json=ORDER, headers={"authorization": "me"}).status_code == 200
    assert ways.taken == ["dependencies"]


def test_one_that_is_added_while_the_route_serves_counts(ways):
    """FastAPI asks its list for each request."""
    app = application()
    route = next(route for route in app.routes if getattr(route, "path", "") == "/orders")
    with TestClient(app) as client:
        assert client.post("/orders", json=ORDER).status_code == 200
        route.dependant.dependencies.append(get_parameterless_sub_dependant(depends=Depends(guard), path=""))
        assert client.post("/orders", json=ORDER).status_code == 401
    assert ways.taken == ["short"]


def test_overrides_take_their_place(ways):
    """``app.dependency_overrides``, of the application and through an inclusion."""
    app = FastAPI()
    included(app, Raincheck(app, store="memory:"), dependencies=[Depends(guard)])
    app.dependency_overrides[guard] = lambda: None
    with TestClient(app) as client:
        assert client.post("/closed/orders", json=ORDER).status_code == 200
        app.dependency_overrides.clear()
        assert client.post("/closed/orders", json=ORDER).status_code == 401
    assert ways.taken == ["dependencies"]


@pytest.mark.parametrize("route_class", [APIRoute, FastAPIsWay])
def test_those_that_yield_are_left_and_their_background_tasks_run(ways, route_class):
    """After the answer, after a refusal, and after an error of another dependency."""
    told: list[str] = []

    async def session(tasks: BackgroundTasks) -> Any:
        tasks.add_task(told.append, "task")
        told.append("enter")
        try:
            yield
        except HTTPException:
            told.append("failed")
            raise
        finally:
            told.append("exit")

    def pool() -> Any:
        told.append("pool")
        yield
        told.append("pooled")

    app = application(route_class, dependencies=[Depends(session), Depends(pool), Depends(guard)])
    with TestClient(app) as client:
        assert client.post("/orders", json=ORDER, headers=WORD).status_code == 200
        assert told == ["enter", "pool", "task", "pooled", "exit"]
        told.clear()
        assert client.post("/orders", json={"sku": 1}, headers=WORD).status_code == 422
        assert told == ["enter", "pool", "exit"]  # a plain generator does not finish after an exception
        told.clear()
        assert client.post("/orders", json=ORDER).status_code == 401
        assert told == ["enter", "pool", "failed", "exit"]
    assert ways.taken == ["dependencies" if route_class is APIRoute else "FastAPI's"]


def test_a_release_that_solves_them_from_other_things_is_left_to_itself(monkeypatch):
    """What it wants besides is not known here."""
    route = next(route for route in application().routes if getattr(route, "path", "") == "/orders")
    assert _ShortWay(route, APIRoute.get_route_handler(route)).is_open()
    namespace = {"__name__": "fastapi.later"}
    exec("async def solve(*, request, dependant, connection): ...", namespace)
    monkeypatch.setattr("fastapi.routing.solve_dependencies", namespace["solve"])
    assert not _ShortWay(route, APIRoute.get_route_handler(route)).is_open()


@pytest.mark.parametrize("route_class", [APIRoute, FastAPIsWay])
def test_a_dependency_may_change_the_document(ways, route_class):
    """It takes a signature out of it, say; what it leaves is validated."""

    async def unsigned(request: Request) -> None:
        assert (await request.json()).pop("signature") == "x"

    app = application(route_class, dependencies=[Depends(unsigned)])
    with TestClient(app) as client:
        answer = client.post("/orders", json=ORDER | {"signature": "x"})
    assert (answer.status_code, "A-1" in answer.text) == (200, True)
    assert ways.taken == ["dependencies" if route_class is APIRoute else "FastAPI's"]


@pytest.mark.parametrize("dependencies", [[], [Depends(counted)]])
@pytest.mark.parametrize("route_class", [APIRoute, FastAPIsWay])
def test_a_reader_of_json_that_an_application_puts_in_is_used(monkeypatch, route_class, dependencies):
    """Such as a quicker one."""

    async def lower(self: Request) -> Any:
        return json.loads((await self.body()).lower())

    monkeypatch.setattr(Request, "json", lower)
    with TestClient(application(route_class, dependencies=dependencies)) as client:
        answer = client.post("/orders", content=b'{"SKU": "a"}', headers=JSON)
    assert (answer.status_code, "sku='a'" in answer.text) == (200, True)


@pytest.mark.parametrize("route_class", [APIRoute, FastAPIsWay])
def test_an_override_may_read_a_body_that_the_route_has_not(ways, route_class):
    """It is given none."""
    app = application(route_class, dependencies=[Depends(guard)])

    def reading(note: Annotated[Any, Body()] = "nothing") -> None:
        assert note == "nothing"

    app.dependency_overrides[guard] = reading
    with TestClient(app) as client:
        assert client.post("/empty", json={"text": "a"}).status_code == 200
    assert ways.taken == ["dependencies" if route_class is APIRoute else "FastAPI's"]


def test_a_number_that_a_dependency_gives_as_text_is_refused():
    """Only a text that is declared so is kept as one."""
    app = FastAPI()
    rain = Raincheck(app, store="memory:")

    @rain.post("/numbers")
    async def take(number: Annotated[int, Depends(number_as_text)]) -> int:
        return number

    with TestClient(app) as client, pytest.raises(DefinitionError, match="'number', a str"):
        client.post("/numbers")


def test_one_dependency_of_two_runs_once(ways):
    """FastAPI's cache holds within a request."""
    app = FastAPI()
    rain = Raincheck(app, store="memory:")

    @rain.post("/orders", wait=5)
    async def take(
        order: Order, left: Annotated[int, Depends(limit_of)], right: Annotated[int, Depends(counted)]
    ) -> Any:
        return left, right

    with TestClient(app) as client:
        assert client.post("/orders", json=ORDER, headers={"x-limit": "4"}).json() == [4, 4]
    assert app.state.calls == 1
    assert ways.taken == ["dependencies"]
