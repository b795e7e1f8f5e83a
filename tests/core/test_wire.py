"""The JSON that clients see."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest

from raincheck.core import wire
from raincheck.core.endpoints import Callback
from raincheck.core.operation import Operation, Progress, Status, StoredResult

NOW = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
ACCEPTED = Operation(id="op_06H0JHQ7PTG7NQSN366ED6PBE9V07KZY", kind="k", created_at=NOW, updated_at=NOW, run_at=NOW)
LINKS = wire.Links("/api/operations")
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    "operation",
    [
        ACCEPTED,
        replace(ACCEPTED, kind='quote " and é', metadata={"k": 'v "é', "n": "2"}),
        replace(ACCEPTED, deadline_at=NOW + SECOND, scheduled_for=NOW + 60 * SECOND, max_attempts=4),
        replace(ACCEPTED, rerun_of="op_06H0JHQ7SQFGQTPY3D7RDJS678RQTYYX"),
        replace(ACCEPTED, callback=Callback("https://hooks.example.com/")),
    ],
)
@pytest.mark.parametrize("poll_after", [None, SECOND, timedelta(microseconds=5)])
@pytest.mark.parametrize("base", ["/operations", '/ä"b/operations', "https://x.example/operations", "http://x/o"])
@pytest.mark.parametrize("delivered", [False, True])
def test_the_quick_form_of_a_202_is_byte_for_byte_the_general_one(
    operation: Operation,
    poll_after: timedelta | None,
    base: str,
    delivered: bool,
) -> None:
    """What is written by hand for speed says what the general code says."""
    links = wire.Links(base, delivered)
    quick = wire.resource(operation, links=links, poll_after=poll_after)
    with patch.object(wire, "_accepted", side_effect=AssertionError):
        general = wire.resource(replace(operation, version=2), links=links, poll_after=poll_after)
    assert quick == general.replace(b'"version": 2', b'"version": 1')


def test_a_link_to_deliveries_is_there_where_deliveries_are() -> None:
    """The caller asked for a webhook, or the application has some; otherwise there is nothing to link to."""
    called_back = replace(ACCEPTED, callback=Callback("https://hooks.example.com/"))
    assert linked(ACCEPTED, wire.Links("/o")) is None
    assert linked(ACCEPTED, wire.Links("/o", delivered=True)) == f"/o/{ACCEPTED.id}/deliveries"
    assert linked(called_back, wire.Links("/o")) == f"/o/{ACCEPTED.id}/deliveries"


def linked(operation: Operation, links: wire.Links) -> str | None:
    """Return the link of an operation to its deliveries."""
    found: str | None = json.loads(wire.resource(operation, links=links))["links"].get("deliveries")
    return found


def finished(body: bytes, media_type: str = "application/json") -> Operation:
    """Return an operation that succeeded with a result."""
    result = StoredResult(body=body, media_type=media_type, size=len(body))
    return replace(ACCEPTED, status=Status.SUCCEEDED, version=3, finished_at=NOW, result=result)


def test_a_small_json_result_is_inline_and_ascii() -> None:
    """Text that could forge a frame elsewhere is escaped; the value is the same."""
    body = '{"text": "é \u2028 \u0000"}'.replace("\u0000", "\\u0000").encode()
    shown = wire.resource(finished(body), links=LINKS)
    assert shown.isascii()
    assert json.loads(shown)["result"] == {"text": "é \u2028 \x00"}
    assert json.loads(shown)["result_inline"] is True


@pytest.mark.parametrize(
    ("body", "media_type"), [(b"x", "text/plain"), (b"%PDF", "application/pdf"), (b"", "application/json")]
)
def test_what_is_not_json_is_not_inline(body: bytes, media_type: str) -> None:
    """The client reads links.result."""
    shown = json.loads(wire.resource(finished(body, media_type), links=LINKS))
    assert (shown["result"], shown["result_inline"]) == (None, False)


@pytest.mark.parametrize("body", [b'{\n  "pages": 3\n}', b'{"pages":\r3}\r\n', '{\n"pages": 3, "ä": 1}'.encode()])
def test_json_that_was_written_for_eyes_is_inline_on_one_line(body: bytes) -> None:
    """A line end in it would end the frame of an event stream; the value is the same."""
    shown = wire.resource(finished(body), links=LINKS)
    assert not {b"\n", b"\r"} & {bytes([each]) for each in shown}
    assert json.loads(shown)["result"] == json.loads(body)


@pytest.mark.parametrize("body", [b"{\n", "{ä".encode(), "{ä".encode("latin-1")])
def test_json_that_is_none_is_not_inline(body: bytes) -> None:
    """Such as an earlier release kept: it would break the whole resource."""
    shown = json.loads(wire.resource(finished(body), links=LINKS))
    assert (shown["result"], shown["result_inline"]) == (None, False)


def test_a_null_result_is_told_from_an_absent_one() -> None:
    """The function returned None."""
    shown = json.loads(wire.resource(finished(b"null"), links=LINKS))
    assert (shown["result"], shown["result_inline"]) == (None, True)


def test_lists_show_no_result() -> None:
    """Neither field is there."""
    shown = json.loads(wire.resource(finished(b"1"), links=LINKS, with_result=False))
    assert not {"result", "result_inline"} & shown.keys()


def test_the_time_left_is_estimated_from_the_fraction() -> None:
    """A quarter took ten seconds, so three quarters take thirty."""
    running = replace(
        ACCEPTED,
        status=Status.RUNNING,
        version=3,
        run=1,
        started_at=NOW,
        progress=Progress(fraction=0.25),
        progress_run=1,
        progress_at=NOW + 10 * SECOND,
    )
    assert json.loads(wire.resource(running, links=LINKS))["progress"]["eta_seconds"] == 30.0
    done = replace(running, status=Status.FAILED, finished_at=NOW)
    assert json.loads(wire.resource(done, links=LINKS))["progress"]["eta_seconds"] is None


def test_advice_to_pollers_ends_with_the_operation() -> None:
    """A finished operation needs no further poll."""
    running = json.loads(wire.resource(replace(ACCEPTED, version=2), links=LINKS, poll_after=SECOND))
    assert running["poll_after_ms"] == 1000
    assert json.loads(wire.resource(finished(b"1"), links=LINKS, poll_after=SECOND))["poll_after_ms"] is None
