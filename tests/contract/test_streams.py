"""The event stream of one operation, and of a submit (docs/contract.md)."""

from __future__ import annotations

import pytest

from tests.contract import hostile
from tests.contract.event_stream import events, everything, reading, reading_everywhere
from tests.contract.serving import assert_problem, fresh_name

ORDER = {"pages": 3, "title": "rain"}
UNKNOWN = "op_" + "0" * 32


# --- submits that answer with their stream ------------------------------------------------------------------------


def test_submit_answers_with_the_stream(caller):
    """The submit's own response is the stream; its ids name operation and version, and its head where to look."""
    name = fresh_name()
    with reading(caller, f"/stories/{name}", method="POST") as reader:
        first = reader.next()
        operation = first.data["resource"]
        assert reader.response.headers["location"] == operation["links"]["self"]
        assert reader.response.headers["operation-location"] == operation["links"]["self"]
        assert (first.event, first.id) == ("snapshot", f"{operation['id']}:1")
        for step in (f"{name}-1", f"{name}-2", f"{name}-3", name):
            caller.server.give(step)
        frames = [first, *reader.rest()]
    assert frames[-1].event == "done"
    assert all(frame.id == f"{operation['id']}:{frame.version}" for frame in frames)
    assert [frame.data["chunk"]["part"] for frame in frames if frame.event == "output"] == [1, 2, 3]
    assert len(caller.listed()) == 1
    refused = caller.post("/reports", json={"pages": 0}, headers={"Accept": "text/event-stream"})
    assert refused.status_code == 422


def test_a_repeated_submit_attaches(caller, other):
    """A reader that repeats its submit with the last id goes on and creates nothing; others' operations are 404."""
    name = fresh_name()
    path = f"/stories/{name}"
    with reading(caller, path, method="POST") as reader:
        first = reader.next()
    for step in (f"{name}-1", f"{name}-2", f"{name}-3", name):
        caller.server.give(step)
    caller.done(first.data["operation"])
    with reading(caller, path, method="POST", headers={"Last-Event-ID": first.id}) as reader:
        frames = reader.rest()
    assert events(frames) == events(everything(caller, first.data["resource"]))[1:]
    stream = {"Accept": "text/event-stream"}
    after_done = caller.post(path, headers={**stream, "Last-Event-ID": frames[-1].id})
    assert (after_done.status_code, after_done.content) == (204, b"")
    assert_problem(other.post(path, headers={**stream, "Last-Event-ID": first.id}), 404, "operation-not-found")
    assert_problem(caller.post(path, headers={**stream, "Last-Event-ID": f"{UNKNOWN}:1"}), 404, "operation-not-found")
    for malformed in ("1", f"{UNKNOWN}", f"{UNKNOWN}:", f":{1}", f"{UNKNOWN}:x", f"{UNKNOWN}:1:1"):
        answer = caller.post(path, headers={**stream, "Last-Event-ID": malformed})
        assert_problem(answer, 400, "malformed-request")
    future = caller.post(path, headers={**stream, "Last-Event-ID": f"{first.data['operation']}:999"})
    assert_problem(future, 400, "malformed-request")
    assert len(caller.listed()) == 1
    assert other.listed() == []


# --- rows ---------------------------------------------------------------------------------------------------------


def test_stream_begins_with_a_snapshot(caller):
    """Without a cursor the record comes first, then all that follows; of a finished operation also its `done`."""
    name = fresh_name()
    operation = caller.submit(f"/stories/{name}")
    caller.server.await_signal(f"{name}-1.started")
    running = caller.operation(operation["id"])
    with reading_everywhere(caller, operation["links"]["events"]) as readers:
        for reader in readers:
            first = reader.next()
            assert (first.event, first.id) == ("snapshot", str(running["version"]))
            advice = {"poll_after_ms", "queue_position"}
            shown = first.data["resource"]
            assert {k: v for k, v in shown.items() if k not in advice} == {
                k: v for k, v in running.items() if k not in advice
            }
        for step in (f"{name}-1", f"{name}-2", f"{name}-3", name):
            caller.server.give(step)
        followed = [reader.rest() for reader in readers]
    whole = everything(caller, operation)
    for frames in followed:
        lasting = [frame for frame in frames if frame.event != "progress"]
        assert events(lasting) == events([f for f in whole if f.version > running["version"] and f.event != "progress"])
        assert [frame.version for frame in frames] == sorted({frame.version for frame in frames})
        assert all(frame.id == str(frame.version) for frame in frames)
        assert frames[-1].data["resource"] == caller.operation(operation["id"])
    with reading(caller, operation["links"]["events"]) as reader:
        snapshot, done = reader.rest()
    assert (snapshot.event, snapshot.id, snapshot.version) == ("snapshot", None, done.version)
    assert (done.event, done.id) == ("done", str(done.version))
    assert snapshot.data["resource"] == done.data["resource"]


def test_stream_goes_on_after_the_cursor(caller):
    """From every version the rest follows, the header before the query; 0 gives everything, in order, once."""
    name = fresh_name()
    operation = caller.submit(f"/stories/{name}")
    path = operation["links"]["events"]
    with reading_everywhere(caller, path, params={"after": 0}) as readers:
        for step in (f"{name}-1", f"{name}-2", f"{name}-3", name):
            caller.server.await_signal(f"{step}.started")
            caller.server.give(step)
        live = [reader.rest() for reader in readers]
    whole = everything(caller, operation)
    assert [frame.event for frame in whole if frame.event != "progress"] == [
        *("status", "status"),
        *("output", "log") * 3,
        "done",
    ]
    assert [frame.data["status"] for frame in whole if frame.event == "status"] == ["queued", "running"]
    assert [frame.data["chunk"] for frame in whole if frame.event == "output"] == [{"part": n} for n in (1, 2, 3)]
    assert [(f.data["level"], f.data["message"]) for f in whole if f.event == "log"] == [
        ("warning", f"part {n}") for n in (1, 2, 3)
    ]
    for frame in whole:
        assert {"type", "operation", "version", "run", "time"} < set(frame.data)
        assert frame.data["operation"] == operation["id"]
        assert frame.id == str(frame.version)
    for frames in live:
        lasting = [frame for frame in frames if frame.event != "progress"]
        assert [(f.event, f.version, f.data) for f in lasting] == [
            (f.event, f.version, f.data) for f in whole if f.event != "progress"
        ]
    newest = whole[-1].version
    for cursor in range(newest):
        headers = {"Last-Event-ID": str(cursor)}
        with reading(caller, path, headers=headers, params={"after": newest}) as reader:
            assert events(reader.rest()) == events([frame for frame in whole if frame.version > cursor])
    with reading(caller, path, headers={"Last-Event-ID": ""}, params={"after": newest - 1}) as reader:
        assert events(reader.rest()) == [("done", newest)]


def test_resume_after_done_is_204(caller):
    """A reader that has the end is told to come no more."""
    operation = caller.finished("/reports", json=ORDER)
    path = operation["links"]["events"]
    for options in (
        {"headers": {"Last-Event-ID": str(operation["version"])}},
        {"params": {"after": operation["version"]}},
    ):
        answer = caller.get(path, **options)
        assert (answer.status_code, answer.content) == (204, b"")


def test_malformed_and_future_cursors_are_400(caller):
    """Another text and a version that does not exist yet are refused, in the header and in the query."""
    operation = caller.finished("/reports", json=ORDER)
    path = operation["links"]["events"]
    for cursor in ("x", "-1", "1.0", "0x1", str(operation["version"] + 1), "1" * 16):
        assert_problem(caller.get(path, headers={"Last-Event-ID": cursor}), 400, "malformed-request")
        assert_problem(caller.get(path, params={"after": cursor}), 400, "malformed-request")
    assert_problem(caller.get(path, params={"after": ["1", "1"]}), 400, "malformed-request")
    twice = [("Last-Event-ID", "1"), ("Last-Event-ID", "1")]
    assert_problem(caller.get(path, headers=twice), 400, "malformed-request")
    for unknown in (UNKNOWN, "nonsense"):
        assert_problem(caller.get(f"/operations/{unknown}/events"), 404, "operation-not-found")
    assert caller.server.fresh().get(path).status_code == 401


def test_retry_rides_on_the_first_frame(caller):
    """The time to reconnect comes once, spread around two seconds, with a frame that has data."""
    operation = caller.finished("/reports", json=ORDER)
    found = set()
    for parameters in ({}, {"after": 0}) * 5:
        with reading(caller, operation["links"]["events"], params=parameters) as reader:
            first, *rest = reader.rest()
        assert 1500 <= first.retry <= 2500
        assert all(frame.retry is None for frame in rest)
        found.add(first.retry)
    assert len(found) > 1


@pytest.mark.parametrize("path", ["/texts", "/process-texts"])
def test_text_forges_no_frame(caller, path):
    """Line ends, NUL, lone surrogates, a megabyte: one event, one frame, the same value, live and later."""
    with reading(caller, path, method="POST") as reader:
        live = reader.rest()
    operation = live[0].data["resource"]
    whole = everything(caller, operation)
    for frames in (live, whole):
        outputs = [frame.data["chunk"]["text"] for frame in frames if frame.event == "output"]
        assert outputs == list(hostile.TEXTS.values())
        assert [frame.event for frame in frames if frame.event == "done"] == ["done"]
        assert "\n" not in "".join(frame.text for frame in frames)
    if path == "/texts":
        logged = [frame.data["message"] for frame in whole if frame.event == "log"]
        assert logged == list(hostile.TEXTS.values())
        assert whole[-1].data["resource"]["result"]["text"] == hostile.FORGED
        [progress] = [frame for frame in whole if frame.event == "progress"]
        assert progress.data["progress"]["message"] == hostile.FORGED


@pytest.mark.parametrize(
    ("text", "value"), [('{\n  "a": 1\n}\n', {"a": 1}), ('{"a": 1}\n\nevent: forged\ndata: {}\n', None)]
)
def test_results_that_the_function_wrote_itself_forge_no_frame(caller, text, value):
    """JSON of a hand-made answer: on one line where it is JSON, left to the result's own address where it is none."""
    operation = caller.finished("/handmade", params={"text": text})
    assert (operation["result"], operation["result_inline"]) == (value, value is not None)
    frames = everything(caller, operation)
    assert [frame.event for frame in frames][-2:] == ["status", "done"]
    assert frames[-1].data["resource"]["result"] == value
    assert caller.get(operation["links"]["result"]).text == text


# --- edges --------------------------------------------------------------------------------------------------------


class TestCursors:
    """What somebody sends who means harm."""

    def test_hostile_cursors_are_400_and_trouble_nobody(self, caller):
        """Every text that is no version of this operation is refused, and the server notices nothing."""
        owner = caller
        operation = owner.finished("/reports", json=ORDER)
        before = len(owner.server.log)
        path = operation["links"]["events"]
        for name, cursor in hostile.cursors(operation["version"]).items():
            answer = owner.get(path, params={"after": cursor})
            assert answer.status_code == 400, (name, answer.status_code)
            assert_problem(answer, 400, "malformed-request")
            answer = owner.get("/operations/events", params={"ids": operation["id"], "after": cursor})
            assert answer.status_code == 400, (name, answer.status_code)
            raw = cursor.encode("utf-8", "surrogatepass")
            if not cursor.strip() or any(byte in b"\r\n\0" for byte in raw):
                continue
            answer = owner.get(path, headers=[(b"Last-Event-ID", raw)])
            assert answer.status_code == 400, (name, answer.status_code)
            headers = [(b"Accept", b"text/event-stream"), (b"Last-Event-ID", raw)]
            answer = owner.post("/reports", json=ORDER, headers=headers)
            # The id of an unknown operation is well-formed here.
            assert answer.status_code == (404 if name == "submitted" else 400), (name, answer.status_code)
        assert "Traceback" not in owner.server.log[before:]
        assert "ERROR" not in owner.server.log[before:]

    def test_a_submits_own_query_is_no_cursor(self, caller):
        """The application's own `after` means what the application says."""
        with reading(caller, "/reports", method="POST", params={"after": ["7", "8"]}, json=ORDER) as reader:
            assert reader.rest()[-1].event == "done"
