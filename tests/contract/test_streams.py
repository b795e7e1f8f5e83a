"""Event streams, of operations and of submits (docs/contract.md)."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import threading
import time

import pytest

from tests.contract import hostile
from tests.contract.event_stream import Parser, events, opened, reading, reading_everywhere
from tests.contract.serving import PATIENCE, Background, assert_problem, fresh_name
from tests.contract.sockets import connected

ORDER = {"pages": 3, "title": "rain"}
LATER = {"Operation-Delay": "3600"}
UNKNOWN = "op_" + "0" * 32
MANY = re.compile(r"[0-9a-f]{8}(\.[0-9]+)+")


def everything(caller, operation):
    """Return all frames of an operation that is done, from its beginning."""
    with reading(caller, operation["links"]["events"], params={"after": 0}) as reader:
        return reader.rest()


def raw_request(server, caller, path, *, receive_buffer=None, **headers):
    """Send a GET over a socket of our own and read nothing."""
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", server.port))
    lines = [f"GET {path} HTTP/1.1", "Host: x", f"X-Caller: {caller.name}", *(f"{k}: {v}" for k, v in headers.items())]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def read_to_end(connection):
    """Read until the stream is whole or the server closes; return the bytes of the body, and whether it was whole."""
    portions = [b""]
    while not portions[-1].endswith(b"0\r\n\r\n") and (data := connection.recv(1 << 16)):
        portions.append(data)
    received = b"".join(portions)
    head, _, chunked = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    body = []
    at = 0
    while (end := chunked.find(b"\r\n", at)) >= 0:
        length = int(chunked[at:end], 16)
        if length == 0:
            return b"".join(body), True
        body.append(chunked[end + 2 : end + 2 + length])
        at = end + 2 + length + 2
    return b"".join(body), False


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


def test_silence_is_filled_with_pings(hasty):
    """While nothing happens comments come, so that no proxy thinks the connection dead; they are no events."""
    caller = hasty.caller()
    name = fresh_name()
    operation = caller.submit(f"/held/{name}")
    caller.server.await_signal(f"{name}.started")
    with reading(caller, operation["links"]["events"]) as reader:
        data = []
        for portion in reader.response.iter_raw():
            data.append(portion)
            if b"".join(data).count(b": ping\n\n") == 3:
                hasty.give(name)
            if b"event: done" in portion:
                break
    parser = Parser()
    frames = list(parser.feed(b"".join(data)))
    assert [frame.event for frame in frames] == ["snapshot", "done"]
    assert set(parser.comments) == {"ping"}
    assert len(parser.comments) >= 3


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


def test_slow_readers_are_cut_off(caller):
    """A reader that does not read gets an end, not an endless buffer; from its cursor it misses nothing."""
    name = fresh_name()
    before = len(caller.server.log)
    operation = caller.submit(f"/floods/{name}", params={"chunks": 300})
    path = operation["links"]["events"]
    caller.server.await_signal(f"{name}.started")
    connection = raw_request(caller.server, caller, f"{path}?after=0", receive_buffer=4096)
    with connection, reading(caller, path) as witness:
        witness.next()
        caller.server.give(name)
        caller.done(operation["id"])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        body, whole = read_to_end(connection)
    frames = list(Parser().feed(body))
    assert whole == (frames[-1].event == "done")
    # Where another process writes, the reader may read the store at its own pace instead.
    assert not whole or caller.server.shared
    if not whole:
        with reading(caller, path, headers={"Last-Event-ID": frames[-1].id}) as reader:
            frames += reader.rest()
    assert frames[-1].event == "done"
    numbers = [frame.data["chunk"]["number"] for frame in frames if frame.event == "output"]
    assert numbers == list(range(300))
    assert "ERROR" not in caller.server.log[before:]  # the server does not call it an incomplete answer


@pytest.mark.parametrize("processes", [1, 2])
def test_shutdown_ends_streams(start_server, processes):
    """At SIGTERM streams, sockets and long-polls end within a second or two, whole, and the process soon after."""
    server = start_server("owned", processes=processes)
    caller = server.caller()
    name = fresh_name()
    operation = caller.submit(f"/held/{name}")
    server.await_signal(f"{name}.started")
    path = operation["links"]["events"]
    ended = []
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(reading(caller, path)) for _ in range(50)]
        assert {reader.next().event for reader in readers} == {"snapshot"}
        sockets = [stack.enter_context(connected(server, caller=caller.name)) for _ in range(10)]
        for one in sockets:
            one.subscribe("1", operation["id"])
            assert one.next()["event"] == "snapshot"
        marks = [fresh_name() for _ in range(10)]
        polls = [
            Background(
                server.fresh().get,
                operation["links"]["self"],
                params={"wait": 60},
                headers={"X-Caller": caller.name, "X-Mark": mark},
            )
            for mark in marks
        ]
        for mark in marks:
            server.await_signal(mark)
        began = time.monotonic()
        server.terminate()

        def to_the_end(read):
            read()
            ended.append(time.monotonic() - began)

        waits = [threading.Thread(target=to_the_end, args=(reader.rest,), daemon=True) for reader in readers]
        waits += [threading.Thread(target=to_the_end, args=(one.closed,), daemon=True) for one in sockets]
        waits += [threading.Thread(target=to_the_end, args=(lambda one=one: one.answer,), daemon=True) for one in polls]
        for thread in waits:
            thread.start()
        for thread in waits:
            thread.join(PATIENCE)
        assert len(ended) == 70
        assert max(ended) < 5
        assert all(one.code == 1012 for one in sockets)
        assert all(poll.answer.status_code == 200 for poll in polls)
    server.process.wait(timeout=15)
    assert time.monotonic() - began < 10
    assert server.process.returncode in {0, -signal.SIGTERM}
    assert "Traceback" not in server.log


def test_many_operations_share_one_stream(caller, other):
    """One connection follows many, each once and in order; its opaque cursor resumes all of them."""
    names = [fresh_name() for _ in range(3)]
    running = [caller.submit(f"/stories/{name}") for name in names]
    finished = caller.finished("/reports", json=ORDER)
    for name in names:
        caller.server.await_signal(f"{name}-1.started")
    every = [*running, finished]
    parameters = {"ids": ",".join(one["id"] for one in every)}
    with reading(caller, "/operations/events", params=parameters) as reader:
        shown = [reader.next() for _ in every]
        assert [frame.event for frame in shown] == ["snapshot"] * 4
        assert {frame.data["operation"] for frame in shown} == {one["id"] for one in every}
        assert all(frame.id is None for frame in shown[:-1])
        done = reader.next()
        assert (done.event, done.data["operation"]) == ("done", finished["id"])
        assert MANY.fullmatch(done.id)
        for name in names:
            for step in (f"{name}-1", f"{name}-2", f"{name}-3", name):
                caller.server.give(step)
        frames = [done, *reader.rest()]
    assert len({frame.id for frame in frames}) == len(frames)
    for operation in running:
        mine = [f for f in frames if f.data["operation"] == operation["id"] and f.event != "progress"]
        whole = [f for f in everything(caller, operation) if f.event != "progress"]
        assert events(mine) == events(whole)[-len(mine) :]
        assert [f.data["chunk"]["part"] for f in mine if f.event == "output"] == [1, 2, 3]
    for position, frame in enumerate(frames[:-1]):
        with reading(caller, "/operations/events", params=parameters, headers={"Last-Event-ID": frame.id}) as reader:
            rest = [(f.data["operation"], f.version) for f in reader.rest() if f.event != "progress"]
        missing = [(f.data["operation"], f.version) for f in frames[position + 1 :] if f.event != "progress"]
        assert sorted(rest) == sorted(missing)
    over = caller.get("/operations/events", params={**parameters, "after": frames[-1].id})
    assert (over.status_code, over.content) == (204, b"")
    assert_problem(other.get("/operations/events", params=parameters), 404, "operation-not-found")
    with_unknown = {"ids": f"{finished['id']},{UNKNOWN}"}
    assert_problem(caller.get("/operations/events", params=with_unknown), 404, "operation-not-found")
    for ids in ("", ",", f"{finished['id']},", ",".join(f"op_{n:032}" for n in range(101))):
        assert_problem(caller.get("/operations/events", params={"ids": ids}), 400, "malformed-request")
    for cursor in ("1", "", "x.1.1.1.1", frames[-1].id + ".1", frames[-1].id[:-1] + "x", frames[-1].id + "9"):
        answer = caller.get("/operations/events", params={**parameters, "after": cursor})
        assert_problem(answer, 400, "malformed-request")


def test_everything_of_the_caller_is_live(caller, other, unowned):
    """Each change of status of all that the caller owns comes live and nobody else's; without owners there is none."""
    before = caller.finished("/reports", json=ORDER)
    with reading_everywhere(caller, "/operations/events") as readers:
        other.finished("/reports", json=ORDER)
        name = fresh_name()
        held = caller.submit(f"/held/{name}")
        caller.server.await_signal(f"{name}.started")
        for reader in readers:
            frame = reader.next()
            while frame.data["status"] != "running":
                frame = reader.next()
            assert frame.data["operation"] == held["id"]
            assert frame.id is None
        caller.server.give(name)
        report = caller.finished("/reports", json=ORDER)
        caller.done(held["id"])
        for reader in readers:
            frames = []
            while sum(frame.event == "done" for frame in frames) < 2:
                frames.append(reader.next())
            assert {frame.data["operation"] for frame in frames} == {held["id"], report["id"]}
            assert {frame.event for frame in frames} <= {"status", "done"}
            assert before["id"] not in {frame.data["operation"] for frame in frames}
            for operation in (held, report):
                versions = [frame.version for frame in frames if frame.data["operation"] == operation["id"]]
                assert versions == sorted(set(versions))
    assert_problem(unowned.fresh().get("/operations/events"), 404, "list-disabled")


def test_a_ticket_lets_a_browser_in(caller, other, hasty):
    """A ticket stands for the caller on one operation's stream and on nothing else, within a minute."""
    operation = caller.finished("/reports", json=ORDER)
    answer = caller.post(f"/operations/{operation['id']}/tickets")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    ticket = answer.json()
    assert set(ticket) == {"ticket", "events", "expires_at"}
    assert ticket["events"] == f"{operation['links']['events']}?ticket={ticket['ticket']}"
    with opened(caller.server, ticket["events"]) as reader:
        assert [frame.event for frame in reader.rest()] == ["snapshot", "done"]
    assert_problem(other.post(f"/operations/{operation['id']}/tickets"), 404, "operation-not-found")
    elsewhere = caller.finished("/reports", json=ORDER)
    fresh = caller.post(f"/operations/{operation['id']}/tickets").json()["ticket"]
    nobody = caller.server.fresh()
    for path in (elsewhere["links"]["events"], f"/operations/{UNKNOWN}/events"):
        assert_problem(nobody.get(path, params={"ticket": fresh}), 401, "ticket-refused")
    for path in (operation["links"]["self"], operation["links"]["result"], "/operations", "/operations/events"):
        assert nobody.get(path, params={"ticket": fresh}).status_code == 401
    for text in ("", "x", "rct_", fresh + "x", "\x00", "\ud7ff", "x" * 8000):
        answer = caller.get(operation["links"]["events"], params={"ticket": text})
        assert_problem(answer, 401, "ticket-refused")
    late = hasty.caller()
    operation = late.finished("/reports", json=ORDER)
    expired = late.post(f"/operations/{operation['id']}/tickets").json()
    time.sleep(0.6)  # the only way for a ticket to grow old
    assert_problem(late.get(expired["events"]), 401, "ticket-refused")


def test_a_used_ticket_only_resumes(caller, hasty):
    """Seen by somebody else, the URL shows nothing from the beginning; with a cursor it goes on, for a minute."""
    name = fresh_name()
    operation = caller.submit(f"/stories/{name}")
    events_url = caller.post(f"/operations/{operation['id']}/tickets").json()["events"]
    nobody = caller.server.fresh()
    with opened(caller.server, events_url) as reader:
        first = reader.next()
        assert_problem(nobody.get(events_url), 401, "ticket-refused")
        for step in (f"{name}-1", f"{name}-2", f"{name}-3", name):
            caller.server.give(step)
        reader.until("output")
    with opened(caller.server, events_url, headers={"Last-Event-ID": first.id}) as reader:
        assert reader.rest()[-1].event == "done"
    assert_problem(nobody.get(events_url), 401, "ticket-refused")
    late = hasty.caller()
    operation = late.finished("/reports", json=ORDER)
    events_url = late.post(f"/operations/{operation['id']}/tickets").json()["events"]
    with opened(hasty, events_url) as reader:
        reader.rest()
    resumed = hasty.fresh().get(events_url, headers={"Last-Event-ID": str(operation["version"])})
    assert resumed.status_code == 204

    time.sleep(0.6)  # the only way for a ticket to grow old
    assert_problem(hasty.fresh().get(events_url, headers={"Last-Event-ID": "1"}), 401, "ticket-refused")
    events_url = late.post(f"/operations/{operation['id']}/tickets").json()["events"]
    assert_problem(hasty.fresh().get(events_url, headers={"Last-Event-ID": "99"}), 400, "malformed-request")
    time.sleep(0.6)
    assert_problem(hasty.fresh().get(events_url, headers={"Last-Event-ID": "1"}), 401, "ticket-refused")


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


class TestEnds:
    """How streams end."""

    def test_a_stream_ends_after_its_longest_time_and_is_resumed(self, hasty):
        """The reconnect is authorised anew."""
        caller = hasty.caller()
        name = fresh_name()
        operation = caller.submit(f"/held/{name}")
        hasty.await_signal(f"{name}.started")
        with reading(caller, operation["links"]["events"]) as reader:
            frames = reader.rest()
        assert frames[-1].event != "done"
        hasty.give(name)
        with reading(caller, operation["links"]["events"], headers={"Last-Event-ID": frames[-1].id}) as reader:
            assert reader.rest()[-1].event == "done"

    def test_a_reader_that_goes_away_cancels_nothing(self, caller):
        """The operation goes on, and so do the other readers."""
        name = fresh_name()
        with reading(caller, f"/held/{name}", method="POST") as reader:
            operation = reader.next().data["resource"]
            caller.server.await_signal(f"{name}.started")
        with reading(caller, operation["links"]["events"]) as reader:
            reader.next()
            caller.server.give(name)
            assert reader.rest()[-1].data["resource"]["status"] == "succeeded"

    def test_an_operation_that_is_deleted_ends_its_streams(self, caller):
        """In every process, also when the end and the deletion came between two looks."""
        for _ in range(3):
            operation = caller.submit("/reports", json=ORDER, headers=LATER)
            with reading_everywhere(caller, operation["links"]["events"]) as readers:
                for reader in readers:
                    reader.next()
                assert caller.post(operation["links"]["cancel"]).status_code == 200
                assert caller.delete(operation["links"]["self"]).status_code == 204
                for reader in readers:
                    assert {frame.event for frame in reader.rest()} <= {"done"}

    def test_a_large_event_does_not_cut_off_readers_that_keep_up(self, caller):
        """One event may be larger than what a reader's buffer may hold."""
        with reading(caller, "/texts", method="POST") as reader:
            frames = reader.rest()
        assert frames[-1].event == "done"
        assert max(len(frame.text) for frame in frames) > 1 << 20

    def test_a_reader_over_http_1_0_gets_the_stream(self, caller):
        """Without chunks the closed connection is the end."""
        operation = caller.finished("/reports", json=ORDER)
        request = f"GET {operation['links']['events']} HTTP/1.0\r\nX-Caller: {caller.name}\r\n\r\n"
        status, _, body = caller.server.exchange(request.encode())
        assert status == 200
        assert [frame.event for frame in Parser().feed(body)] == ["snapshot", "done"]


class TestParser:
    """The reader of these tests is as strict as it says."""

    WHOLE = b"retry: 5\nevent: a\nid: 1\ndata: x\n\n: ping\n\nevent: b\ndata: y\ndata: z\n\n"

    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
    def test_portions_and_line_ends_make_no_difference(self, end, size):
        """However the bytes are cut."""
        data = self.WHOLE.replace(b"\n", end)
        parser = Parser()
        frames = [f for at in range(0, len(data), size) for f in parser.feed(data[at : at + size])]
        frames += parser.feed(b"")
        assert [(f.event, f.text, f.id, f.retry) for f in frames[:1]] == [("a", "x", "1", 5)]
        assert parser.comments == ["ping"]
        if end != b"\r":  # a last CR may still be half of a CRLF
            assert [(f.event, f.text, f.id, f.retry) for f in frames[1:]] == [("b", "y\nz", None, None)]
            assert parser.between_frames

    @pytest.mark.parametrize(
        "data",
        [b"id: 1\n\n", b"retry: 1\n\n", b"data\n\n", b"x: 1\n\n", b"id: 1\nid: 2\ndata: x\n\n", b"\xef\xbb\xbf: x\n"],
    )
    def test_what_readers_read_differently_is_refused(self, data):
        """Frames without data, fields that are unknown or come twice, a byte order mark."""
        with pytest.raises(AssertionError):
            list(Parser().feed(data))
