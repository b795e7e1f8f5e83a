"""The WebSocket (docs/contract.md)."""

from __future__ import annotations

import contextlib
import json
import socket
import threading

import pytest
from websockets.exceptions import ConnectionClosed

from tests.contract import hostile
from tests.contract.event_stream import reading
from tests.contract.serving import PATIENCE, fresh_name
from tests.contract.sockets import connected

ORDER = {"pages": 3}
LATER = {"Operation-Delay": "3600"}
UNKNOWN = "op_" + "0" * 32


@pytest.fixture
def channel(caller):
    """An introduced connection of the caller."""
    with connected(caller.server, caller=caller.name) as found:
        yield found


def streamed(caller, operation, **options):
    """Return what the stream of a finished operation gives."""
    with reading(caller, operation["links"]["events"], **options) as reader:
        return [(frame.event, frame.version, frame.data) for frame in reader.rest()]


def received(messages):
    """Return the same of a subscription."""
    return [(message["event"], message["version"], message["data"]) for message in messages]


def give_all(caller, name):
    """Let a story go on to its end."""
    for step in (f"{name}-1", f"{name}-2", f"{name}-3", name):
        caller.server.give(step)


# --- rows ---------------------------------------------------------------------------------------------------------


def test_socket_replays_and_completes(caller, channel):
    """A subscription gets what the stream gives, from a snapshot or from any cursor, live and later, and its end."""
    name = fresh_name()
    operation = caller.submit(f"/stories/{name}")
    caller.server.await_signal(f"{name}-1.started")
    channel.subscribe("live", operation["id"])
    first = channel.next()
    channel.subscribe("all", operation["id"], after=0)
    assert (first["id"], first["event"], first["data"]["type"]) == ("live", "snapshot", "snapshot")
    give_all(caller, name)
    live = channel.until_complete("live")
    whole = streamed(caller, operation, params={"after": 0})
    lasting = [event for event in whole if event[0] != "progress"]
    assert [e for e in received(live) if e[0] not in {"progress", "snapshot"}] == [
        event for event in lasting if event[1] > first["version"]
    ]
    for message in live:
        assert set(message) == {"type", "id", "operation", "version", "event", "data"}
        assert message["operation"] == operation["id"]
    for cursor in range(whole[-1][1] + 1):
        channel.subscribe("again", operation["id"], after=cursor)
        assert received(channel.until_complete("again")) == [event for event in whole if event[1] > cursor]
    channel.subscribe("none", operation["id"])
    assert received(channel.until_complete("none")) == streamed(caller, operation)
    channel.send(type="ping")
    assert channel.next() == {"type": "pong"}


def test_socket_problems_are_those_of_the_routes(caller, other, channel):
    """Unknown and foreign operations and cursors of the future are told on the subscription; the connection stays."""
    operation = caller.finished("/reports", json=ORDER)
    foreign = other.finished("/reports", json=ORDER)
    deleted = caller.finished("/reports", json=ORDER)
    caller.delete(deleted["links"]["self"])
    cases = [
        (UNKNOWN, {}, caller.get(f"/operations/{UNKNOWN}")),
        ("nonsense", {}, caller.get("/operations/nonsense")),
        (foreign["id"], {"after": 0}, caller.get(f"/operations/{foreign['id']}")),
        (deleted["id"], {}, caller.get(f"/operations/{deleted['id']}")),
        (operation["id"], {"after": 99}, caller.get(operation["links"]["events"], params={"after": 99})),
    ]
    for operation_id, more, answer in cases:
        channel.subscribe("x", operation_id, **more)
        assert channel.next() == {"type": "error", "id": "x", "problem": answer.json()}
        assert answer.status_code in {400, 404, 410}
    channel.subscribe("x", operation["id"])
    assert len(channel.until_complete("x")) == 2


def test_socket_cancels(caller, other, channel):
    """As the route does: what is queued or running ends, what is finished or another's is refused."""
    queued = caller.submit("/reports", json=ORDER, headers=LATER)
    name = fresh_name()
    running = caller.submit(f"/held/{name}")
    caller.server.await_signal(f"{name}.started")
    for operation in (queued, running):
        channel.subscribe(operation["id"], operation["id"])
        channel.send(type="cancel", id="c", operation=operation["id"])
        frames = channel.until_complete(operation["id"])
        assert frames[-1]["data"]["resource"]["status"] == "cancelled"
    channel.send(type="cancel", id="again", operation=queued["id"])
    finished = caller.finished("/reports", json=ORDER)
    foreign = other.submit("/reports", json=ORDER, headers=LATER)
    for operation_id in (finished["id"], foreign["id"], UNKNOWN):
        answer = caller.post(f"/operations/{operation_id}/cancel")
        assert answer.status_code in {404, 409}
        channel.send(type="cancel", id="c", operation=operation_id)
        assert channel.next() == {"type": "error", "id": "c", "problem": answer.json()}
    assert other.operation(foreign["id"])["status"] == "queued"


@pytest.mark.parametrize("subprotocols", [None, ["raincheck.v2"], ["graphql-ws", "raincheck"]])
def test_socket_needs_the_subprotocol(caller, subprotocols):
    """A client of another protocol is told so."""
    with connected(caller.server, caller=caller.name, introduced=False, subprotocols=subprotocols) as channel:
        channel.closed()
        assert channel.code == 4406
    with connected(caller.server, caller=caller.name, subprotocols=["x", "raincheck.v1"]) as channel:
        assert channel.connection.subprotocol == "raincheck.v1"


ORIGINS = [
    *("http://elsewhere.example", "https://elsewhere.example", "null", "http://127.0.0.1", "http://127.0.0.1:1"),
    *("file://", "x", "http://[", "http://127.0.0.1.elsewhere.example", "http://elsewhere.example/127.0.0.1"),
    *("http://127.0.0.1@elsewhere.example", "chrome-extension://abc", "http://", "//", "http://[::1", "javascript:1"),
]


def test_socket_refuses_other_origins(caller, start_server):
    """Pages of this origin and of allowed ones connect; others are refused, whoever is logged in there."""
    server = caller.server
    before = len(server.log)
    for origin in ORIGINS:
        with connected(server, caller=caller.name, introduced=False, headers={"Origin": origin}) as channel:
            channel.closed()
            assert channel.code == 4403, origin
    with connected(server, caller=caller.name, headers={"Origin": server.url}):
        pass
    assert "Traceback" not in server.log[before:]


def test_socket_needs_an_introduction(caller, hasty):
    """Silence, another first message and a refused authorization end in 4401."""
    with connected(hasty, caller=caller.name, introduced=False) as channel:
        channel.closed()
        assert channel.code == 4401
    for message in ({"type": "ping"}, {"type": "subscribe", "id": "1", "operation": UNKNOWN}):
        with connected(caller.server, caller=caller.name, introduced=False) as channel:
            channel.send(**message)
            channel.closed()
            assert channel.code == 4401
    for more in ({}, {"authorization": "Bearer x"}, {"authorization": "\r\nX-Caller: forged"}):
        with connected(caller.server, introduced=False) as channel:
            channel.send(type="connection_init", **more)
            channel.closed()
            assert channel.code == 4401


def test_socket_bad_messages_close_it(caller):
    """What is not JSON, not text or not of the protocol ends the connection, and is no trouble to the server."""
    before = len(caller.server.log)
    for name, (message, code) in hostile.messages().items():
        with connected(caller.server, caller=caller.name) as channel:
            channel.connection.send(message)
            channel.closed()
            assert channel.code == code, (name, channel.code)
    for message, code in (
        ("hello", 4400),
        (b"{}", 4400),
        ("x" * 70_000, 1009),
        ('{"type":"connection_init","authorization":1}', 4400),
    ):
        with connected(caller.server, caller=caller.name, introduced=False) as channel:
            channel.connection.send(message)
            channel.closed()
            assert channel.code == code
    assert "Traceback" not in caller.server.log[before:]
    assert "ERROR" not in caller.server.log[before:]


def test_socket_ids_are_used_once(caller, channel):
    """An id is free again once its subscription has ended."""
    operation = caller.submit("/reports", json=ORDER, headers=LATER)
    for _ in range(2):
        channel.subscribe("1", operation["id"])
        assert channel.next()["event"] == "snapshot"
        channel.send(type="unsubscribe", id="1")
    channel.subscribe("1", operation["id"])
    channel.subscribe("1", operation["id"])
    channel.closed()
    assert channel.code == 4409


def test_socket_subscriptions_are_bounded(caller, channel):
    """A hundred are followed; one more closes the connection."""
    operation = caller.submit("/reports", json=ORDER, headers=LATER)
    for number in range(100):
        channel.subscribe(str(number), operation["id"])
    assert {channel.next()["id"] for _ in range(100)} == {str(number) for number in range(100)}
    channel.subscribe("more", operation["id"])
    channel.closed()
    assert channel.code == 4429


def test_socket_messages_are_bounded(caller, channel):
    """64 KiB are read, one byte more is not."""
    fits = json.dumps({"type": "ping", "x": ""})
    channel.connection.send(json.dumps({"type": "ping", "x": "x" * ((64 << 10) - len(fits))}))
    assert channel.next() == {"type": "pong"}
    channel.connection.send(json.dumps({"type": "ping", "x": "x" * ((64 << 10) - len(fits) + 1)}))
    channel.closed()
    assert channel.code == 1009


def test_socket_slow_readers_are_cut_off(caller):
    """A client that does not read is told to go on from its cursor, and misses nothing when it does."""
    name = fresh_name()
    operation = caller.submit(f"/floods/{name}", params={"chunks": 300})
    caller.server.await_signal(f"{name}.started")
    pipe = socket.socket()
    pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    pipe.connect(("127.0.0.1", caller.server.port))
    # Without pings of its own, which nobody who does not read answers: on a slow machine they would end it.
    with connected(caller.server, caller=caller.name, sock=pipe, max_queue=2, ping_interval=None) as channel:
        channel.subscribe("1", operation["id"], after=0)
        caller.server.give(name)
        caller.done(operation["id"])
        pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        found = []
        with contextlib.suppress(ConnectionClosed):
            while (message := channel.next())["type"] == "event":
                found.append(message)
        whole = found[-1]["event"] == "done"
        # Where another process writes, the reader may read the store at its own pace instead.
        assert (channel.code == 1013) is not whole
        assert not whole or caller.server.shared
    if not whole:
        with connected(caller.server, caller=caller.name) as channel:
            channel.subscribe("1", operation["id"], after=found[-1]["version"])
            found += channel.until_complete("1")
    numbers = [message["data"]["chunk"]["number"] for message in found if message["event"] == "output"]
    assert numbers == list(range(300))


def test_socket_restart_says_so(start_server, hasty):
    """At the server's end and after the longest time the client is told to connect again."""
    caller = hasty.caller()
    operation = caller.submit("/reports", json=ORDER, headers=LATER)
    with connected(hasty, caller=caller.name) as channel:
        channel.subscribe("1", operation["id"])
        channel.closed()
        assert channel.code == 1012
    server = start_server("owned")
    caller = server.caller()
    operation = caller.submit("/reports", json=ORDER, headers=LATER)
    with connected(server, caller=caller.name) as idle, connected(server, caller=caller.name) as busy:
        busy.subscribe("1", operation["id"])
        assert busy.next()["event"] == "snapshot"
        server.terminate()
        for channel in (idle, busy):
            channel.closed()
            assert channel.code == 1012
    server.process.wait(timeout=PATIENCE)
    assert "Traceback" not in server.log


# --- edges --------------------------------------------------------------------------------------------------------


class TestSubscriptions:
    """What belongs to one connection."""

    def test_texts_are_the_same_after_parsing(self, caller, channel):
        """Line ends, separators, NUL, lone surrogates and a megabyte."""
        operation = caller.finished("/texts")
        channel.subscribe("1", operation["id"], after=0)
        found = channel.until_complete("1")
        texts = [message["data"]["chunk"]["text"] for message in found if message["event"] == "output"]
        assert texts == list(hostile.TEXTS.values())
        assert [message["data"]["message"] for message in found if message["event"] == "log"] == texts

    def test_hostile_ids_come_back_as_they_are(self, caller, channel):
        """The id of a subscription is the client's own text."""
        operation = caller.finished("/reports", json=ORDER)
        for identity in ('"', "\\", "\x00", "\ud800", "\u2028", "ü", "</script>", "x" * 200, " "):
            channel.subscribe(identity, operation["id"])
            assert [message["id"] for message in channel.until_complete(identity)] == [identity] * 2

    def test_hostile_operations_are_404(self, caller, channel):
        """Whatever is not the caller's operation is one and the same problem, in subscribe and cancel."""
        before = len(caller.server.log)
        for text in hostile.unknown_operations():
            for kind in ("subscribe", "cancel"):
                channel.send(type=kind, id="x", operation=text)
                message = channel.next()
                assert message["type"] == "error", (text, message)
                assert message["problem"]["type"] == "urn:raincheck:problem:operation-not-found"
        assert "Traceback" not in caller.server.log[before:]

    def test_unsubscribing_what_is_not_there_is_no_error(self, caller, channel):
        """It may have ended by itself just before."""
        operation = caller.finished("/reports", json=ORDER)
        channel.send(type="unsubscribe", id="never")
        channel.subscribe("1", operation["id"])
        channel.until_complete("1")
        channel.send(type="unsubscribe", id="1")
        channel.send(type="ping")
        assert channel.next() == {"type": "pong"}

    def test_a_client_that_goes_away_cancels_nothing(self, caller):
        """The operation goes on."""
        name = fresh_name()
        operation = caller.submit(f"/held/{name}")
        caller.server.await_signal(f"{name}.started")
        with connected(caller.server, caller=caller.name) as channel:
            channel.subscribe("1", operation["id"])
            channel.next()
            channel.connection.socket.shutdown(socket.SHUT_RDWR)
        caller.server.give(name)
        assert caller.done(operation["id"])["status"] == "succeeded"

    def test_bytes_that_are_no_utf_8_are_refused_by_the_engine(self, caller):
        """The connection ends and nothing is logged: the reason for the engine that these servers run with."""
        before = len(caller.server.log)
        with connected(caller.server, caller=caller.name) as channel:
            channel.connection.send(b"\xff\xfe", text=True)
            channel.closed()
            assert channel.code in {1006, 1007}
        assert "Traceback" not in caller.server.log[before:]

    def test_the_path_has_the_prefix_and_mount(self, rooted):
        """The link `websocket` of an operation is where it is."""
        for route, path in (("/inner/reports", "/inner/v1/operations/ws"), ("/reports", "/operations/ws")):
            caller = rooted.caller()
            operation = caller.post(route, json=ORDER).json()
            assert operation["links"]["websocket"] == f"/api{path}"
            with connected(rooted, caller=caller.name, path=path) as channel:
                channel.subscribe("1", operation["id"])
                assert channel.until_complete("1")[-1]["data"]["resource"]["links"] == operation["links"]

    def test_many_clients_at_once_see_the_same(self, caller):
        """Twenty sockets on one operation, in whichever process."""
        name = fresh_name()
        operation = caller.submit(f"/stories/{name}")
        results = {}

        def follow(number):
            with connected(caller.server, caller=caller.name) as channel:
                channel.subscribe("1", operation["id"], after=0)
                results[number] = received(channel.until_complete("1"))

        threads = [threading.Thread(target=follow, args=(number,), daemon=True) for number in range(20)]
        for thread in threads:
            thread.start()
        give_all(caller, name)
        for thread in threads:
            thread.join(PATIENCE)
        whole = [event for event in streamed(caller, operation, params={"after": 0}) if event[0] != "progress"]
        assert len(results) == 20
        for found in results.values():
            assert [event for event in found if event[0] != "progress"] == whole
