"""The documented proxy configurations pass on all that a Raincheck application sends, when it sends it."""

from __future__ import annotations

import json
import time
import uuid

import httpx2
import pytest
from websockets.sync.client import connect

from raincheck.client import Client
from tests.proxies.conftest import HERE, PROXIES, found, proxied
from tests.readers import chromium
from tests.readers.serving import Server
from tests.readers.test_many_tabs import ANSWERED, READERS

SILENCE = 2.5  # seconds, longer than the read timeout that the tests give nginx


def story(proxy):
    """Submit a story through the proxy; return its name and its path."""
    name = uuid.uuid4().hex
    with proxy.client as client:
        answer = client.post(f"/stories/{name}")
        assert answer.status_code == 202
        return name, answer.headers["location"]


def lines_until(lines, wanted):
    """Return the lines of a stream up to one that begins so."""
    seen = []
    for line in lines:
        seen.append(line)
        if line.startswith(wanted):
            return seen
    raise AssertionError(f"the stream ended before {wanted!r}: {seen}")


def test_events_come_when_they_happen_and_a_silent_stream_is_not_cut(proxy):
    """Each frame passes at once, and pings keep a stream alive past the proxy's read timeout."""
    name, location = story(proxy)
    with proxy.client as client, client.stream("GET", f"{location}/events?after=0") as answer:
        assert answer.http_version == "HTTP/2"
        lines = answer.iter_lines()
        lines_until(lines, "event: output")  # while the operation is held: nothing waited for the end
        silent_until = time.monotonic() + SILENCE
        pings = 0
        while time.monotonic() < silent_until:
            lines_until(lines, ": ping")
            pings += 1
        assert pings > 1
        proxy.server.give(name)
        lines_until(lines, "event: done")


@pytest.mark.parametrize("program", PROXIES)
def test_the_client_goes_on_behind_a_proxy_whose_server_is_killed(tmp_path, program):
    """The proxy answers 502 while the server starts again; the client's log has no gap and nothing twice."""
    found(program)
    server = Server(tmp_path, home=HERE)
    try:
        with proxied(program, tmp_path, server) as proxy, proxy.client as http:
            client = Client(f"https://localhost:{proxy.port}", http=http)
            name = uuid.uuid4().hex
            handle = client.submit(f"/stories/{name}")
            seen = []
            for event in handle.events(after=0):
                seen.append(event)
                if event.type == "output" and event.run == 1:
                    server.kill()
                    server.start(server.port)
                    server.give(name)
            assert handle.result() == "the end"
    finally:
        server.kill()
    versions = [event.version for event in seen]
    assert versions == list(range(1, len(seen) + 1))
    assert [event.run for event in seen if event.type == "output"] == [1, 2]
    assert seen[-1].type == "done"


def test_without_pings_the_same_silence_is_cut(tmp_path, monkeypatch):
    """What the test above proves of nginx: its read timeout is real."""
    monkeypatch.setenv("PROXIES_PING_EVERY", "60")
    server = Server(tmp_path, home=HERE)
    try:
        with proxied("nginx", tmp_path, server) as proxy:
            _, location = story(proxy)
            with (
                proxy.client as client,
                client.stream("GET", f"{location}/events?after=0") as answer,
                pytest.raises((httpx2.RemoteProtocolError, AssertionError)),
            ):
                lines_until(answer.iter_lines(), "event: done")
    finally:
        server.kill()


def test_a_held_poll_and_a_socket_pass(proxy):
    """A long-poll is answered when its operation ends, and a WebSocket is upgraded and lives through silence."""
    name, location = story(proxy)
    url = f"wss://localhost:{proxy.port}/operations/ws"
    origin = f"https://localhost:{proxy.port}"
    with connect(url, ssl=proxy.trust(), subprotocols=["raincheck.v1"], origin=origin, proxy=None) as socket:
        socket.send('{"type": "connection_init"}')
        assert json.loads(socket.recv(10)) == {"type": "connection_ack"}
        operation = location.rpartition("/")[2]
        socket.send(json.dumps({"type": "subscribe", "id": "1", "operation": operation, "after": 0}))
        while json.loads(socket.recv(10)).get("event") != "output":
            pass
        proxy.server.give(name)
        while json.loads(socket.recv(10))["type"] != "complete":
            pass
    with proxy.client as client:
        assert client.get(f"{location}?wait=20").json()["status"] == "succeeded"


def test_eight_event_sources_of_one_page_block_nothing(proxy):
    """Over HTTP/2 a page's streams share one connection, so ordinary requests go on."""
    if why := chromium.missing():
        pytest.skip(why)
    paths = [story(proxy)[1] for _ in range(READERS)]
    with chromium.page(f"https://localhost:{proxy.port}/page", ignore_https_errors=True) as page:
        assert page.evaluate(ANSWERED, [f"{path}/events" for path in paths]) is True
