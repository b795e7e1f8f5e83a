"""The short way of a submit reads what FastAPI reads, and leaves to it what is not plain."""

from __future__ import annotations

import json

import anyio
import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fastapi.submits.application import JSON, ORDER, TEXT, FastAPIsWay, answers, application

TAKEN: list[tuple[str, str, dict[str, str], bytes]] = [
    ("a body", "/orders", JSON, TEXT),
    ("with a charset", "/orders", {"content-type": "Application/JSON ; charset=utf-8"}, TEXT),
    ("defaults of the model", "/orders", JSON, b'{"sku": "A"}'),
    ("not a number", "/orders", JSON, b'{"sku": "A", "price": NaN}'),
    ("UTF-16", "/orders", JSON, json.dumps(ORDER).encode("utf-16")),
    ("UTF-8 with a mark", "/orders", JSON, b"\xef\xbb\xbf" + TEXT),
    ("a key twice", "/orders", JSON, b'{"sku": "A", "sku": "B"}'),
    ("optional, given", "/maybe", JSON, TEXT),
    ("all sources", "/things/3?t=a&t=b&limit=7", JSON | {"x-tenant": "acme"}, b'{"a": [1, {"b": null}]}'),
    ("defaults", "/things/3", JSON, b"{}"),
    ("no body", "/empty", {}, b""),
    ("a body that nobody reads", "/empty?name=me", JSON, b"{]"),
]
LEFT: list[tuple[str, str, dict[str, str], bytes]] = [
    ("no body where one is needed", "/orders", JSON, b""),
    ("null", "/orders", JSON, b"null"),
    ("optional, null", "/maybe", JSON, b"null"),
    ("optional, none", "/maybe", JSON, b""),
    ("optional, none and no type", "/maybe", {}, b""),
    ("no JSON", "/orders", JSON, b'{"sku": '),
    ("bytes", "/orders", JSON, b"\xff\xfe\xfd"),
    ("too deep", "/orders", JSON, b"[" * 100_000),
    ("no content type", "/orders", {}, TEXT),
    ("text", "/orders", {"content-type": "text/plain"}, TEXT),
    ("form", "/orders", {"content-type": "application/x-www-form-urlencoded"}, b"sku=A"),
    ("a suffix", "/orders", {"content-type": "application/vnd.order+json"}, TEXT),
    ("nearly JSON", "/orders", {"content-type": "application/json-patch"}, TEXT),
    ("half a character", "/orders", JSON, b'{"sku": "\\ud800"}'),
    ("a wrong type", "/orders", JSON, b'{"sku": 1}'),
    ("a key too many", "/orders", JSON, b'{"sku": "A", "colour": "red"}'),
    ("a list", "/orders", JSON, b"[]"),
    ("several errors", "/things/x?limit=99", JSON, b'"text"'),
    ("a wrong query", "/things/3?limit=99", JSON, b"{}"),
]


@pytest.mark.parametrize(("path", "headers", "body"), [row[1:] for row in TAKEN], ids=[row[0] for row in TAKEN])
def test_the_short_way_gives_the_function_what_fastapi_gives(both, ways, path, headers, body):
    """Each value, by the function's own account."""
    short, whole = both
    assert answers(short, path, headers, body) == answers(whole, path, headers, body)
    assert ways.taken == ["short", "FastAPI's"]


@pytest.mark.parametrize(("path", "headers", "body"), [row[1:] for row in LEFT], ids=[row[0] for row in LEFT])
def test_what_is_not_plain_is_answered_by_fastapi(both, ways, path, headers, body):
    """Errors and defaults are FastAPI's, in its own words."""
    short, whole = both
    assert answers(short, path, headers, body) == answers(whole, path, headers, body)
    assert "short" not in ways.taken


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
def test_other_methods_are_refused_as_ever(both, method):
    """405, with the methods that there are."""
    found = [client.request(method, "/orders") for client in both]
    assert [answer.status_code for answer in found] == [405, 405]
    assert found[0].headers["allow"] == found[1].headers["allow"] == "POST"


def test_an_exception_of_a_validator_is_answered_as_the_application_says(both):
    """A validator may raise an ``HTTPException``."""
    short, whole = both
    found = answers(short, "/orders", JSON, b'{"sku": "gone"}')
    assert found == answers(whole, "/orders", JSON, b'{"sku": "gone"}')
    assert found[0] == 410


document = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
near_orders = st.fixed_dictionaries(
    {},
    optional={"sku": st.text(max_size=6) | document, "quantity": document, "day": st.just("2026-02-28") | document},
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=near_orders | document)
def test_any_document_has_one_answer(both, content):
    """Valid or not."""
    short, whole = both
    body = json.dumps(content).encode()
    assert answers(short, "/orders", JSON, body) == answers(whole, "/orders", JSON, body)


def test_a_body_in_parts_is_read_whole(both, ways):
    """As chunked requests send it; what is not valid is read a second time by FastAPI."""
    short, _ = both

    def parts(text: bytes):
        for start in range(0, len(text), 7):
            yield text[start : start + 7]

    assert short.post("/orders", headers=JSON, content=parts(TEXT)).status_code == 200
    assert ways.taken == ["short"]
    wrong = short.post("/orders", headers=JSON, content=parts(b'{"sku": 1, "quantity": 12345678901234567890}'))
    assert wrong.status_code == 422
    assert wrong.json()["detail"][0]["loc"] == ["body", "sku"]


@pytest.mark.parametrize("route_class", [APIRoute, FastAPIsWay])
@pytest.mark.parametrize("before", [[], [{"type": "http.request", "body": b'{"sku"', "more_body": True}]])
def test_a_client_that_goes_away_while_it_sends_submits_nothing(ways, route_class, before):
    """Half a body is none."""
    app, sent = application(route_class), []
    messages = [*before, {"type": "http.disconnect"}]

    async def receive():
        return messages.pop(0)  # once: Hypercorn says nothing more afterwards

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/orders", "query_string": b"", "root_path": ""}
    scope["headers"] = [(b"content-type", b"application/json")]
    with TestClient(app):
        anyio.run(app, scope, receive, send)
    assert sent[0]["status"] == 400
    assert ways.taken == []
