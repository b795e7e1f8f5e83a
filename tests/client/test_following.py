"""Following over cuts, kills, busy servers and proxies: nothing missed, nothing twice, on both sides of the client."""

from __future__ import annotations

import contextlib
import json
import threading
import time

import httpx2
import pytest

from raincheck.client import (
    Busy,
    ForeignLink,
    NotAuthorised,
    ServerUnreachable,
    StreamUnavailable,
    UnexpectedAnswer,
)
from tests.client.scripted import Answer, Held, proxy, scripted
from tests.client.sides import client_of
from tests.readers.cutting import CuttingProxy

pytestmark = pytest.mark.timeout(120)
ID = "op_06H0JHQ7PTG7NQSN366ED6PBE9V07KZY"


def told(events):
    """Return events as their log tells them."""
    return [(event.version, event.type, event.data) for event in events]


def logged(server, operation_id, caller):
    """Return the log of a finished operation as the server gives it in one stream."""
    url = f"http://127.0.0.1:{server.port}"
    with client_of("sync", url, headers={"X-Caller": caller}) as client:
        return told(client.operation(operation_id).events(after=0))


def numbers(log):
    """Return run and chunk of each output."""
    return [(data["run"], data["chunk"]) for _, kind, data in log if kind == "output"]


# --- cuts and kills ---------------------------------------------------------------------------------------------


def test_events_come_whole_over_cuts_and_a_kill(side, own_server, name):
    """Cut after every five events in three manners, and killed in the middle: the log, once."""
    cutting = CuttingProxy(own_server.port)
    try:
        with client_of(side, f"http://127.0.0.1:{cutting.port}", headers={"X-Caller": name}) as client:
            handle = client.submit(f"/held/{name}")
            seen = []
            for event in handle.events(after=0):
                seen.append(event)
                if event.type == "progress" and event.run == 1:
                    own_server.kill()
                    own_server.start()
                    cutting.upstream = own_server.port
                    own_server.give(name)
            log = told(seen)
            assert [version for version, _, _ in log] == sorted({version for version, _, _ in log})
            # Progress that was seen live may be superseded in the log; all else is there, and nothing more.
            kept = [each for each in log if each[1] != "progress"]
            assert kept == [each for each in logged(own_server, handle.id, name) if each[1] != "progress"]
            assert [each for each in numbers(log) if each[0] == 2] == [(2, number) for number in range(24)]
            assert (log[-1][1], handle.result()) == ("done", name)
    finally:
        cutting.stop()


def test_a_server_that_is_away_for_a_while_is_waited_for(side, own_server, name):
    """Killed under a waiting result and an event stream; both go on when it is back on its port."""
    with client_of(side, f"http://127.0.0.1:{own_server.port}", headers={"X-Caller": name}) as client:
        handle = client.submit(f"/held/{name}")
        own_server.await_signal(f"{name}.begun-1")
        results = []
        waiting = threading.Thread(target=lambda: results.append(client.operation(handle.id).result(timeout=100)))
        waiting.start()
        states = []
        for state in handle.updates():
            states.append(state)
            if state.progress is not None and state.attempt == 1 and len(results) == 0 and own_server.port:
                port = own_server.port
                own_server.kill()
                own_server.give(name)
                starting = threading.Timer(0.5, own_server.start, [port])
                starting.start()
                own_server.port = 0
        starting.join(100)  # before the server is killed for good: it starts once more what dies while it waits for it
        waiting.join(100)
        assert results == [name]
        assert states[-1].status == "succeeded"
        versions = [state.version for state in states]
        assert versions == sorted(set(versions))


def test_output_of_a_run_that_was_replaced_is_told_apart(client, name):
    """The caller is told to throw away what came before, and the rest is the last run's."""
    kept, restarts = [], []

    def restart():
        restarts.append(list(kept))
        kept.clear()

    for chunk in client.submit(f"/again/{name}").output(on_restart=restart):
        kept.append(chunk)  # noqa: PERF402 - a restart clears it in between
    assert (restarts, kept) == ([[f"{name} 1"]], [f"{name} 2"])


def test_events_after_the_end_are_none(client):
    """A cursor at done gives nothing; without one a finished operation gives its snapshot and its done."""
    handle = client.submit("/reports", json={"pages": 2})
    done = handle.wait()
    assert list(handle.events(after=done.version)) == []
    assert [event.type for event in handle.events()] == ["snapshot", "done"]
    assert handle.state == done


def test_a_reader_that_stops_early_leaves_nothing_open(client, server, name):
    """The generator is closed and the client works on."""
    handle = client.submit(f"/held/{name}")
    for event in handle.events(after=0):
        if event.type == "output":
            break
    server.give(name)
    assert handle.result(timeout=60) == name


# --- proxies ----------------------------------------------------------------------------------------------------


def unpassed(*_):
    """Change nothing."""


def no_streams(seen):
    """Refuse event streams, as servers do that know no such media type."""
    return Answer(406) if "/events" in seen.path else None


def no_held_requests(seen):
    """Refuse streams and long polls, as an impatient proxy does."""
    return Answer(504) if "wait=" in seen.path else no_streams(seen)


def test_a_buffering_proxy_delays_events_and_loses_none(side, server, name):
    """While the proxy holds the stream back, polls wait for the end; then the log comes in one piece."""
    with (
        proxy(f"http://127.0.0.1:{server.port}", unpassed) as between,
        client_of(side, between.url, headers={"X-Caller": name}, silence=0.5) as client,
    ):
        handle = client.submit(f"/held/{name}")
        server.await_signal(f"{name}.begun-1")
        threading.Timer(1.5, server.give, [name]).start()
        log = told(handle.events(after=0))
        assert log == logged(server, handle.id, name)
        assert between.paths("wait=")


@pytest.mark.parametrize("change", [unpassed, no_streams, no_held_requests])
def test_updates_come_through_every_proxy(side, server, name, change):
    """By stream, long poll or short poll: rising versions, and the end."""
    with (
        proxy(f"http://127.0.0.1:{server.port}", change) as between,
        client_of(side, between.url, headers={"X-Caller": name}, silence=0.5, patience=5) as client,
    ):
        handle = client.submit(f"/held/{name}")
        states = []
        for state in handle.updates():
            states.append(state)
            if state.progress is not None:
                server.give(name)
        versions = [state.version for state in states]
        assert versions == sorted(set(versions))
        assert (states[0].status, states[-1].status) == ("queued", "succeeded")
        assert [state.status for state in client.watch([handle])][-1] == "succeeded"


def test_events_without_any_stream_are_an_error_and_never_a_gap(side, server, name):
    """What cannot be read is not passed over in silence; results still come."""
    with (
        proxy(f"http://127.0.0.1:{server.port}", no_streams) as between,
        client_of(side, between.url, headers={"X-Caller": name}) as client,
    ):
        handle = client.submit("/reports", json={"pages": 1})
        with pytest.raises(StreamUnavailable, match="406"):
            list(handle.events(after=0))
        assert handle.result()["pages"] == 1


# --- busy and broken servers ------------------------------------------------------------------------------------


def operation(status="queued", version=1, **fields):
    """Return an operation's JSON."""
    body = {"id": ID, "kind": "k", "status": status, "done": status == "succeeded", "version": version}
    return body | {"poll_after_ms": 50} | fields


def in_turn(*answers):
    """Return a script that gives the answers one by one, and the last for ever."""
    left = list(answers)
    return lambda seen, handler: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize("trouble", [Answer(503, b"", {"retry-after": "1"}), Answer(429, b""), Answer(body=None)])
def test_a_submit_with_a_key_is_sent_again_with_the_same_key(side, trouble):
    """Busy servers and lost answers: the second request is the first one again, so it cannot become two."""
    with scripted(in_turn(trouble, Answer.json(operation(), 202))) as server, client_of(side, server.url) as client:
        assert client.submit("/k", json={"n": 1}).id == ID
        first, second = server.seen
        assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
        assert first.body == second.body == b'{"n":1}'


@pytest.mark.parametrize(
    ("trouble", "error"),
    [(Answer(503, b"", {"retry-after": "1"}), Busy), (Answer(body=None), ServerUnreachable)],
)
@pytest.mark.parametrize("options", [{"idempotency_key": None}, {"content": "unread"}])
def test_a_submit_that_might_become_two_is_sent_once(side, trouble, error, options):
    """Without a key, or with a body that cannot be read again."""
    if "content" in options:
        pieces = iter([b"1"])
        options = {"content": pieces if side == "sync" else _asynchronous(pieces)}
    with scripted(in_turn(trouble, Answer.json(operation(), 202))) as server, client_of(side, server.url) as client:
        with pytest.raises(error):
            client.submit("/k", headers={"content-length": "1"} if "content" in options else None, **options)
        assert len(server.seen) == 1


async def _asynchronous(pieces):
    for piece in pieces:
        yield piece


def test_a_lost_answer_makes_no_second_operation(side, server, name):
    """The real server accepts, the answer is cut off, and the client's second try finds the same operation."""
    lost = []

    def lose_the_first(seen):
        if seen.method == "POST" and not lost:
            url = f"http://127.0.0.1:{server.port}{seen.path}"
            kept = {key: value for key, value in seen.headers.items() if key != "host"}
            lost.append(httpx2.post(url, headers=kept, content=seen.body).json()["id"])
            return Answer(body=None)
        return None

    with (
        proxy(f"http://127.0.0.1:{server.port}", lose_the_first) as between,
        client_of(side, between.url, headers={"X-Caller": name}) as client,
    ):
        handle = client.submit("/reports", json={"pages": 1})
        assert ([handle.id], handle.replayed) == (lost, True)
        assert [each.id for each in client.list()] == lost


def test_patience_has_an_end(side):
    """A server that stays away, or asks for more time than there is, becomes an error with what it said."""
    with scripted(in_turn(Answer(503, b"", {"retry-after": "90"}))) as server:
        with client_of(side, server.url, patience=1) as client, pytest.raises(Busy) as raised:
            client.operation(ID).refresh()
        assert (raised.value.retry_after, len(server.seen)) == (90, 1)
        url = server.url
    with client_of(side, url, patience=0.3) as client, pytest.raises(ServerUnreachable, match="Is the server running"):
        client.operation(ID).refresh()


def test_refusals_are_not_asked_again(side):
    """A wrong token is told at once, also to a follower."""
    with scripted(in_turn(Answer.json({"detail": "Not authenticated"}, 401))) as server:
        with client_of(side, server.url, auth=("ada", "secret")) as client:
            for ask in (lambda: client.submit("/k"), lambda: list(client.operation(ID).events())):
                with pytest.raises(NotAuthorised, match="Not authenticated"):
                    ask()
        assert [each.headers["authorization"] for each in server.seen] == ["Basic YWRhOnNlY3JldA=="] * 2


def test_a_stream_that_stays_silent_is_given_up_for_polls(side):
    """Headers, and then never a byte, not even a ping: the client goes on by polls."""

    def silent(seen, handler):
        if "/events" in seen.path:
            handler.send_response(200)
            handler.send_header("content-type", "text/event-stream")
            handler.end_headers()
            handler.wfile.flush()
            server.over.wait(60)
            raise Held
        return Answer.json(operation("succeeded", 3) if "wait=" in seen.path else operation())

    with scripted(silent) as server, client_of(side, server.url, silence=0.2) as client:
        states = [(state.version, state.status) for state in client.operation(ID).updates()]
        assert states == [(1, "queued"), (3, "succeeded")]


def test_pings_keep_a_quiet_stream_open(side):
    """Silence between events is no reason to reconnect, as long as the server pings."""

    def pinging(seen, handler):
        if "/events" not in seen.path:
            return Answer.json(operation())
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.end_headers()
        for _ in range(6):
            handler.wfile.write(b": ping\n\n")
            handler.wfile.flush()
            server.over.wait(0.1)
        data = {"operation": ID, "version": 2, "run": 1, "resource": operation("succeeded", 2)}
        handler.wfile.write(f"event: done\nid: 2\ndata: {json.dumps(data)}\n\n".encode())
        raise Held

    with scripted(pinging) as server, client_of(side, server.url, silence=0.4) as client:
        assert [state.version for state in client.operation(ID).updates()] == [1, 2]
        assert len(server.paths("/events")) == 1


def test_a_poll_that_is_answered_at_once_waits_as_advised(side):
    """A proxy that drops the query turns long polls into short ones; the client does not spin."""
    answers = [Answer.json(operation(version=1, poll_after_ms=200))] * 3 + [Answer.json(operation("succeeded", 2))]
    with scripted(in_turn(*answers)) as server, client_of(side, server.url) as client:
        began = time.monotonic()
        assert client.operation(ID).wait().version == 2
        assert len(server.seen) == 4
        assert time.monotonic() - began >= 0.6


def test_a_link_to_another_origin_is_not_followed(side):
    """Neither the operation nor its result is asked for there."""
    link = "https://evil.example/operations/" + ID
    with (
        scripted(in_turn(Answer.json(operation(), 202, location=link))) as server,
        client_of(side, server.url) as client,
        pytest.raises(ForeignLink, match=r"evil\.example"),
    ):
        client.submit("/k")


def test_an_answer_that_is_no_json_is_named(side):
    """A login page in the place of an API says so."""
    page = Answer(200, b"<html>", {"content-type": "text/html"})
    with (
        scripted(in_turn(page)) as server,
        client_of(side, server.url) as client,
        pytest.raises(UnexpectedAnswer, match="text/html"),
    ):
        client.operation(ID).refresh()


def test_a_download_that_is_cut_goes_on_where_it_stopped(side, tmp_path):
    """The second request asks for the rest, on condition that it is the same result."""
    content = bytes(range(256)) * 400

    def cutting(seen, handler):
        if not seen.path.endswith("/result"):
            return Answer.json(operation("succeeded", 3))
        if "range" in seen.headers:
            start = int(seen.headers["range"].removeprefix("bytes=").removesuffix("-"))
            return Answer(206, content[start:], {"etag": '"one"', "operation-id": ID})
        handler.send_response(200)
        handler.send_header("etag", '"one"')
        handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:70_000])
        raise Held

    with scripted(cutting) as server, client_of(side, server.url) as client:
        assert client.operation(ID).save(tmp_path / "out") == len(content)
        assert (tmp_path / "out").read_bytes() == content
        assert [each.headers["if-range"] for each in server.seen if "range" in each.headers] == ['"one"']


def test_a_download_that_fails_leaves_no_file(side, tmp_path):
    """Half a result is none."""

    def broken(seen, handler):
        if not seen.path.endswith("/result"):
            return Answer.json(operation("succeeded", 3))
        handler.send_response(200)
        handler.send_header("content-length", "10")
        handler.end_headers()
        raise Held

    with (
        scripted(broken) as server,
        client_of(side, server.url) as client,
        pytest.raises(ServerUnreachable, match="was cut"),
    ):
        client.operation(ID).save(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_base_url_that_is_none_is_refused(side):
    """A forgotten scheme is told before the first request."""
    with pytest.raises(ValueError, match="scheme"), contextlib.ExitStack() as stack:
        stack.enter_context(client_of(side, "localhost:8000"))
