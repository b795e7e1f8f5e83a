"""What keeps an event stream open and what ends it: silence, slow readers, its longest time, a shutdown."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading

import pytest

from tests.contract.event_stream import Parser, reading, reading_everywhere
from tests.contract.serving import PATIENCE, Background, fresh_name
from tests.contract.sockets import connected

ORDER = {"pages": 3, "title": "rain"}
LATER = {"Operation-Delay": "3600"}


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
    """At SIGTERM streams, sockets and long-polls end whole, while the process still waits for the work they show."""
    server = start_server("owned", processes=processes, drain="50s")
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
        server.terminate()

        def to_the_end(read):
            read()
            ended.append(read)

        waits = [threading.Thread(target=to_the_end, args=(reader.rest,), daemon=True) for reader in readers]
        waits += [threading.Thread(target=to_the_end, args=(one.closed,), daemon=True) for one in sockets]
        waits += [threading.Thread(target=to_the_end, args=(lambda one=one: one.answer,), daemon=True) for one in polls]
        for thread in waits:
            thread.start()
        for thread in waits:
            thread.join(PATIENCE)
        assert len(ended) == 70
        assert all(one.code == 1012 for one in sockets)
        assert all(poll.answer.status_code == 200 for poll in polls)
        assert server.elsewhere or server.process.poll() is None
    server.give(name)
    server.process.wait(timeout=PATIENCE)
    assert server.process.returncode in {0, -signal.SIGTERM}
    assert "Traceback" not in server.log


# --- edges --------------------------------------------------------------------------------------------------------


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
