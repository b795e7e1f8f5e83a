"""The routes of streams and of the WebSocket stand outside FastAPI's machinery, and are guarded all the same."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocketDisconnect

from raincheck import Raincheck, Webhook

KEY = {"X-Key": "open"}


async def key(x_key: Annotated[str | None, Header()] = None) -> None:
    """Let in who has the key."""
    if x_key != "open":
        raise HTTPException(401, "no key")


async def caller(x_caller: Annotated[str | None, Header()] = None) -> str:
    """Return who calls."""
    if x_caller is None:
        raise HTTPException(401, "who?")
    return x_caller


def application(**guards):
    """Return an application whose guards stand where the test says."""
    app = FastAPI(dependencies=guards.pop("outer", []))
    rain = Raincheck(app, store="memory:", **guards)

    @rain.post("/work")
    async def work() -> str:
        return "done"

    return app


PLACES = {
    "on the application": {"outer": [Depends(key)]},
    "on the operation routes": {"dependencies": [Depends(key)]},
}


@pytest.fixture(params=PLACES, ids=str)
def client(request):
    """A client of an application with a guard."""
    with TestClient(application(**PLACES[request.param])) as made:
        yield made


@pytest.fixture
def operation(client):
    """A finished operation."""
    accepted = client.post("/work", headers=KEY).json()
    return client.get(accepted["links"]["self"], params={"wait": 30}, headers=KEY).json()


def paths(operation):
    """Return the paths of its streams."""
    return [operation["links"]["events"], f"/operations/events?ids={operation['id']}"]


def test_streams_run_the_guards(client, operation):
    """Wherever they are declared; without the key there is no stream, and with it there is."""
    for path in paths(operation):
        refused = client.get(path)
        assert (refused.status_code, refused.json()) == (401, {"detail": "no key"})
        answer = client.get(path, headers=KEY)
        assert answer.status_code == 200
        assert answer.text.count("event: done") == 1


def test_a_socket_runs_the_guards(client, operation):
    """The first message proves nothing without the key in the handshake."""
    for headers, found in (({}, 4401), (KEY, None)):
        with client.websocket_connect("/operations/ws", subprotocols=["raincheck.v1"], headers=headers) as socket:
            socket.send_json({"type": "connection_init"})
            if found is None:
                assert socket.receive_json() == {"type": "connection_ack"}
                continue
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_json()
            assert closed.value.code == found


def test_a_ticket_takes_the_place_of_the_guards(client, operation):
    """An EventSource sends no headers; who asks for the ticket is guarded."""
    tickets = f"{operation['links']['self']}/tickets"
    assert client.post(tickets).status_code == 401
    ticket = client.post(tickets, headers=KEY).json()
    assert client.get(ticket["events"]).text.count("event: done") == 1


def test_other_methods_are_405_and_a_head_is_one(client, operation):
    """A stream without a body would never end."""
    for path in paths(operation):
        for method in ("HEAD", "POST", "DELETE"):
            answer = client.request(method, path, headers=KEY)
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_an_owner_rule_decides_on_streams_too():
    """Its refusal is rendered by the application, and another's operation is not there."""
    with TestClient(application(owner=caller)) as client:
        accepted = client.post("/work", headers={"X-Caller": "me"}).json()
        for path in paths(accepted):
            assert client.get(path).status_code == 401
            assert client.get(path, headers={"X-Caller": "you"}).status_code == 404
            assert "event: done" in client.get(path, headers={"X-Caller": "me"}).text


def test_handlers_of_the_application_render_a_refusal():
    """As on every other route."""
    app = application(dependencies=[Depends(key)])

    @app.exception_handler(HTTPException)
    async def rendered(_request, error):
        return PlainTextResponse(f"refused: {error.detail}", 418)

    with TestClient(app) as client:
        for path in ("/operations/op_1/events", "/operations/events?ids=op_1"):
            answer = client.get(path)
            assert (answer.status_code, answer.text) == (418, "refused: no key")


class Seats:
    """A middleware that leaves what it knows of a caller in the scope, as those for sessions and users do."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        """Seat whoever comes."""
        if scope["type"] in {"http", "websocket"}:
            scope["session"] = {"name": "ada"}
            scope["user"] = "ada"
        await self.app(scope, receive, send)


def in_the_session(request: Request) -> str:
    """Return who calls, as a session says."""
    return request.session["name"]


def as_the_user(request: Request) -> str:
    """Return who calls, as a middleware for users says."""
    return request.user


@pytest.mark.parametrize("owner", [in_the_session, as_the_user])
def test_an_owner_rule_sees_what_middleware_has_left(owner):
    """On streams and sockets as on every other route; cookies and sessions are how browsers come."""
    app = application(owner=owner)
    app.add_middleware(Seats)
    with TestClient(app) as client:
        accepted = client.post("/work").json()
        for path in paths(accepted):
            assert "event: done" in client.get(path).text
        with client.websocket_connect("/operations/ws", subprotocols=["raincheck.v1"]) as socket:
            socket.send_json({"type": "connection_init"})
            assert socket.receive_json() == {"type": "connection_ack"}
            socket.send_json({"type": "subscribe", "id": "1", "operation": accepted["id"], "after": 0})
            assert socket.receive_json()["operation"] == accepted["id"]


@pytest.mark.parametrize("mount", ["", "/inner"])
def test_guards_see_the_path_of_the_route(mount):
    """They may judge by the path, and by the id in it."""
    seen = []

    def guard(request: Request, operation_id: str | None = None) -> None:
        seen.append((request.url.path, request.method, operation_id))

    inner = FastAPI()
    rain = Raincheck(inner, store="memory:", prefix="/api", dependencies=[Depends(guard)])

    @rain.post("/work")
    async def work() -> str:
        return "done"

    app = inner
    if mount:
        app = FastAPI(lifespan=lambda _: inner.router.lifespan_context(inner))
        app.mount(mount, inner)
    base = f"{mount}/api/operations"
    with TestClient(app) as client:
        operation = client.post(f"{mount}/work").json()["id"]
        for path in (f"{base}/{operation}", f"{base}/{operation}/events", f"{base}/events?ids={operation}"):
            assert client.get(path).status_code == 200
        with client.websocket_connect(f"{base}/ws", subprotocols=["raincheck.v1"]) as socket:
            socket.send_json({"type": "connection_init"})
            assert socket.receive_json() == {"type": "connection_ack"}
    assert seen == [
        (f"{base}/{operation}", "GET", operation),
        (f"{base}/{operation}/events", "GET", operation),
        (f"{base}/events", "GET", None),
        (f"{base}/ws", "GET", None),
    ]


def test_overrides_of_an_owner_rule_reach_streams_and_sockets():
    """As tests of applications need it."""
    app = application(owner=caller)
    app.dependency_overrides[caller] = lambda: "anybody"
    with TestClient(app) as client:
        accepted = client.post("/work").json()
        for path in paths(accepted):
            assert "event: done" in client.get(path).text
        with client.websocket_connect("/operations/ws", subprotocols=["raincheck.v1"]) as socket:
            socket.send_json({"type": "connection_init"})
            assert socket.receive_json() == {"type": "connection_ack"}


def test_a_socket_names_the_deliveries_as_the_status_does():
    """One resource, whichever way it comes; nothing is sent here, since nothing fails."""
    secret = "whsec_bmV2ZXIgdXNlZCBpbiBwcm9kdWN0aW9uISE="
    hook = Webhook(url="https://127.0.0.1", secret=secret, events=("operation.failed",), private_networks=True)
    with TestClient(application(webhooks=[hook], public_url="https://public.example")) as client:
        accepted = client.post("/work").json()
        done = client.get(accepted["links"]["self"], params={"wait": 30}).json()
        with client.websocket_connect("/operations/ws", subprotocols=["raincheck.v1"]) as socket:
            socket.send_json({"type": "connection_init"})
            socket.receive_json()
            socket.send_json({"type": "subscribe", "id": "1", "operation": accepted["id"]})
            snapshot = socket.receive_json()
        assert snapshot["data"]["resource"]["links"] == done["links"]
        assert "deliveries" in done["links"]
