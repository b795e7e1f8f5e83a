"""Submitting, results, changes and lists against a real server, on both sides of the client."""

from __future__ import annotations

import io
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel

from raincheck.client import (
    Conflict,
    Gone,
    InvalidRequest,
    NotFound,
    RemoteCancelled,
    RemoteFailed,
    UnexpectedAnswer,
    WaitTimedOut,
    WrongResult,
)


class Report(BaseModel):
    pages: int
    title: str


def test_a_result_is_the_callers_type(client):
    """One call submits, follows and returns a validated model."""
    report = client.run("/reports", Report, json={"pages": 3})
    assert report == Report(pages=3, title="é🌧\u2028")


def test_a_handle_knows_its_operation(client):
    """The accepted state is there at once; waiting brings the end."""
    handle = client.submit("/reports", json={"pages": 1}, metadata={"customer": "42"}, timeout="5m")
    assert (handle.status, handle.state.kind, handle.state.metadata) == ("queued", "build_report", {"customer": "42"})
    assert handle.state.deadline_at - handle.state.created_at == timedelta(minutes=5)
    done = handle.wait()
    assert (done.status, handle.status, done.succeeded) == ("succeeded", "succeeded", True)
    assert handle.result() == {"pages": 1, "title": "é🌧\u2028"}


def test_a_wait_in_the_submit_brings_the_result_with_the_answer(client):
    """No further request is needed for a result that came in time."""
    handle = client.submit("/reports", json={"pages": 1}, wait=30)
    assert handle.state is None
    assert handle.result(Report).pages == 1
    assert handle.refresh().status == "succeeded"


@pytest.mark.parametrize(
    ("path", "options", "kind", "expected"),
    [
        ("/large", {}, None, list(range(20_000))),
        ("/large", {}, list[int], list(range(20_000))),
        ("/text", {"params": {"size": 3}}, None, "é".encode() * 3),
        ("/nothing", {}, None, None),
        ("/nothing", {}, bytes, b"null"),
        ("/lengths", {"files": {"file": ("a.txt", b"12345")}}, int, 5),
        ("/lengths", {"files": {"file": io.BytesIO(b"1234567")}}, int, 7),
    ],
)
def test_results_of_every_form(client, path, options, kind, expected):
    """Large JSON, other media types, null and uploads: with a type or without one."""
    assert client.submit(path, **options).result(kind) == expected


def test_a_result_of_another_type_says_where_it_differs(client):
    """The error names the field."""
    with pytest.raises(WrongResult, match=r"The result is no int: the result: "):
        client.run("/reports", int, json={"pages": 1})


def test_a_result_becomes_a_file(client, tmp_path):
    """The file appears whole, with nothing beside it."""
    handle = client.submit("/text", params={"size": 300_000})
    assert handle.save(tmp_path / "out.txt") == 600_000
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "é" * 300_000
    assert [each.name for each in tmp_path.iterdir()] == ["out.txt"]


# --- errors -----------------------------------------------------------------------------------------------------


def test_a_failure_carries_its_problem(client):
    """Code, detail and the application's own fields are there."""
    with pytest.raises(RemoteFailed, match="No paper: tray 2") as raised:
        client.run("/fail/purpose")
    assert (raised.value.code, raised.value.problem.detail) == ("out-of-paper", "tray 2")
    assert raised.value.problem.model_extra == {"tray": 2}
    assert raised.value.operation.status == "failed"


@pytest.mark.parametrize(("manner", "code"), [("http", "http-error"), ("crash", "unhandled-error")])
def test_other_failures_are_the_same_error(client, manner, code):
    """However a function fails, also when the submit waits for it."""
    for options in ({}, {"wait": 30}):
        with pytest.raises(RemoteFailed) as raised:
            client.submit(f"/fail/{manner}", **options).result()
        assert raised.value.code == code


def test_the_answer_of_the_function_can_be_had_whole(client):
    """With its media type, which the bytes alone do not tell; also where the submit has brought it already."""
    handle = client.submit("/reports", json={"pages": 1})
    answer = handle.response(timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == handle.result()
    waited = client.submit("/reports", json={"pages": 2}, wait=30)
    assert waited.response().json()["pages"] == 2
    with pytest.raises(RemoteFailed):
        client.submit("/fail/purpose").response(timeout=60)


def test_a_cancelled_operation_has_no_result(client, name):
    """Cancelling asks; the wait tells when it has stopped."""
    handle = client.submit(f"/held/{name}")
    assert handle.cancel().status in {"cancelling", "cancelled"}
    assert handle.wait().status == "cancelled"
    with pytest.raises(RemoteCancelled, match=handle.id):
        handle.result()


def test_time_limits_of_the_caller_end_the_wait_only(client, server, name):
    """The operation goes on and can be waited for again; with an update callback too."""
    handle = client.submit(f"/held/{name}")
    with pytest.raises(WaitTimedOut, match="It goes on"):
        handle.result(timeout=0.2)
    with pytest.raises(TimeoutError):
        list(handle.updates(timeout=0.2))
    server.give(name)
    assert handle.result(timeout=60) == name


def test_refusals_are_told_apart(client):
    """Each class is one thing that a caller does about it."""
    with pytest.raises(InvalidRequest, match="pages") as raised:
        client.submit("/reports", json={"pages": "many"})
    assert (raised.value.status, raised.value.code) == (422, "http-422")
    with pytest.raises(NotFound) as raised:
        client.operation("op_" + "0" * 32).refresh()
    assert raised.value.code == "operation-not-found"
    with pytest.raises(NotFound):
        client.submit("/no-such-route")
    handle = client.submit("/nothing")
    handle.wait()
    with pytest.raises(Conflict) as raised:
        handle.cancel()
    assert raised.value.code == "operation-finished"
    with pytest.raises(UnexpectedAnswer, match="Is the route decorated by Raincheck"):
        client.submit("/ping", method="GET")


def test_deleting_twice_is_no_error(client):
    """What is gone is gone, and its handle says so."""
    handle = client.submit("/nothing")
    handle.wait()
    handle.delete()
    handle.delete()
    with pytest.raises(Gone) as raised:
        handle.refresh()
    assert raised.value.code == "operation-deleted"


# --- many -------------------------------------------------------------------------------------------------------


def test_one_key_is_one_operation(client):
    """A second submit with the same key gets the first one's operation and says so."""
    key = uuid.uuid4().hex
    first = client.submit("/reports", json={"pages": 1}, idempotency_key=key)
    second = client.submit("/reports", json={"pages": 1}, idempotency_key=key)
    assert (first.id, first.replayed, second.replayed) == (second.id, False, True)
    with pytest.raises(InvalidRequest) as raised:
        client.submit("/reports", json={"pages": 2}, idempotency_key=key)
    assert raised.value.code == "idempotency-key-reused"


def test_a_retry_is_a_new_operation(client):
    """The new handle names what it runs again."""
    failed = client.submit("/fail/crash")
    failed.wait()
    again = failed.retry()
    assert again.state.rerun_of == failed.id
    assert again.id != failed.id


def test_lists_come_page_after_page(client, monkeypatch):
    """Newest first, filtered, to the limit, whatever the size of a page."""
    monkeypatch.setattr("raincheck.client.listing._LARGEST_PAGE", 2)
    made = [client.submit("/nothing", metadata={"n": str(n % 2)}).id for n in range(5)]
    for each in made:
        client.operation(each).wait()
    newest = made[::-1]
    assert [each.id for each in client.list()] == newest
    assert [each.id for each in client.list(limit=3)] == newest[:3]
    assert [each.id for each in client.list(tags={"n": "1"})] == [newest[1], newest[3]]
    assert list(client.list(status=["failed", "cancelled"])) == []
    assert list(client.list(created_before=datetime.now(UTC) - timedelta(hours=1))) == []
    with pytest.raises(ValueError, match="time zone"):
        list(client.list(created_after=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_many_are_watched_over_one_connection(client, server, name):
    """Each begins with its state and ends done; versions only rise."""
    handles = [client.submit(f"/held/{name}") for _ in range(3)] + [client.submit("/nothing")]
    states = []
    for state in client.watch(handles):
        states.append(state)
        if len({each.id for each in states}) == 4:
            server.give(name)
    for handle in handles:
        own = [state for state in states if state.id == handle.id]
        assert own[-1].status == "succeeded"
        versions = [state.version for state in own]
        assert versions == sorted(set(versions))


def test_watching_an_unknown_operation_is_refused(client):
    """All or none, as the server answers; and no more than one connection carries."""
    with pytest.raises(NotFound):
        list(client.watch(["op_" + "0" * 32]))
    with pytest.raises(ValueError, match="100"):
        list(client.watch([]))
