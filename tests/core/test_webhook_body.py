"""What is in a webhook, and that it stays small."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from raincheck.core.deliveries import Delivery
from raincheck.core.endpoints import Source
from raincheck.core.operation import Operation, Problem, Progress, Status, StoredResult
from raincheck.core.webhook_body import LARGEST_BODY, webhook_body
from raincheck.core.wire import Links, resource
from raincheck.testing.conformance.specimens import NOW, SECOND, an_operation

LINKS = Links("https://api.example.com/v1/operations")


def delivery(event="operation.succeeded"):
    return Delivery(
        id="msg_1",
        operation="op_1",
        source=Source.CALLBACK,
        url="https://x.example/",
        event=event,
        version=3,
        created_at=NOW,
        due_at=NOW,
    )


def finished(body=b"1", **fields):
    result = StoredResult(media_type="application/json", body=body, size=len(body))
    made = {"status": Status.SUCCEEDED, "version": 3, "run": 1, "finished_at": NOW, "result": result, **fields}
    return replace(an_operation(), **made)


def shown(operation, **options):
    body = webhook_body(delivery(**options), operation, LINKS)
    assert len(body) <= LARGEST_BODY
    assert body.isascii()
    return json.loads(body)


def test_a_webhook_has_the_type_the_time_of_the_event_and_the_operation():
    """As the status URL shows it, with absolute links."""
    operation = finished(b'{"pages": 3}')
    assert shown(operation) == {
        "type": "operation.succeeded",
        "timestamp": "2026-01-31T12:00:00.000Z",
        "data": json.loads(resource(operation, links=LINKS)),
    }
    links = shown(operation)["data"]["links"]
    assert links["self"] == f"https://api.example.com/v1/operations/{operation.id}"
    assert links["websocket"] == "wss://api.example.com/v1/operations/ws"


def test_a_late_attempt_shows_the_operation_as_it_is_then():
    """The type says what happened, ``data.version`` how new the rest is."""
    event = shown(finished(version=9), event="operation.started")
    assert (event["type"], event["data"]["version"], event["data"]["status"]) == ("operation.started", 9, "succeeded")


def test_a_result_that_does_not_fit_is_left_to_its_link():
    """And nothing else is."""
    event = shown(finished(json.dumps("x" * 19_900).encode()))
    assert (event["data"]["result"], event["data"]["result_inline"]) == (None, False)
    assert "omitted" not in event
    assert shown(finished(json.dumps("x" * 15_000).encode()))["data"]["result_inline"] is True


def test_other_parts_that_do_not_fit_are_named():
    """A receiver must not take a missing part for an empty one."""
    huge = Problem(code="c", title="t" * 30_000, detail="d" * 30_000, extensions={"more": "m" * 30_000})
    failed = replace(finished(), status=Status.FAILED, result=None, error=huge)
    event = shown(failed)
    assert (event["omitted"], event["data"]["error"]["title"]) == (["error.detail"], "t" * 200)
    many = {f"{number}" * 100: "\u2028" * 256 for number in range(16)}
    event = shown(replace(failed, metadata=many, progress=Progress(message="p" * 30_000)))
    assert event["omitted"] == ["progress", "error.detail", "metadata"]
    assert (event["data"]["metadata"], event["data"]["progress"]) == ({}, None)


_texts = st.text(max_size=3000)


@settings(max_examples=60)
@given(
    kind=st.text(min_size=1, max_size=200), title=_texts, detail=_texts, message=_texts, result=st.text(max_size=9000)
)
def test_no_operation_makes_a_webhook_too_large(kind, title, detail, message, result):
    """Whatever texts are in it."""
    operation = finished(
        json.dumps(result).encode(),
        kind=kind,
        error=Problem(code="c", title=title, detail=detail),
        progress=Progress(message=message * 5, stage=title),
        metadata={str(number): detail[:256] for number in range(16)},
        progress_at=NOW + SECOND,
    )
    assert isinstance(operation, Operation)
    assert shown(operation)["data"]["id"] == operation.id
