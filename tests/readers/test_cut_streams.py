"""Real readers of a stream that is cut after every five events, by a server that is killed and started again."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pytest

from tests.readers import chromium, node, python_readers
from tests.readers.application import HOSTILE
from tests.readers.cutting import CuttingProxy
from tests.readers.serving import PATIENCE, Server, eventually

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(300)]
NAMES = [*python_readers.READERS, *(f"node-{library}" for library in node.READERS), *chromium.READERS]


@dataclass
class Story:
    """What all readers of one operation got, at the same time, over the same trouble."""

    log: list[tuple[str, str, str]] = field(default_factory=list)
    read: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    cuts: dict[str, int] = field(default_factory=dict)
    streams: dict[str, int] = field(default_factory=dict)
    retries: list[bytes] = field(default_factory=list)

    @cached_property
    def expected(self) -> list[tuple[str, str, Any]]:
        """The log with its data parsed, since a WebSocket carries it inside a message."""
        return [(identity, name, json.loads(data)) for identity, name, data in self.log]


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Let every reader follow one operation; kill the server once each reader has been cut, and start it again."""
    found = Story()
    readers: dict[str, Any] = dict(python_readers.READERS)
    try:
        readers |= node.readers(node.installed(tmp_path_factory.mktemp("node")))
    except node.Missing as why:
        found.missing |= {f"node-{library}": str(why) for library in node.READERS}
    if why := chromium.missing():
        found.missing |= dict.fromkeys(chromium.READERS, why)
    else:
        readers |= chromium.READERS
    server = Server(tmp_path_factory.mktemp("server"))
    proxy = CuttingProxy(server.port)
    pool = ThreadPoolExecutor(len(readers))
    try:
        operation_id = server.submit("/stories/told")
        reading = {name: pool.submit(read, proxy.port, operation_id, name) for name, read in readers.items()}
        server.await_signal("told.told-1")
        eventually(
            lambda: all(proxy.streams[name] > 1 or future.done() for name, future in reading.items()),
            "a second stream of each reader",
            server,
        )
        server.kill()
        server.start()
        proxy.upstream = server.port
        server.await_signal("told.told-2")
        server.give("told")
        server.done(operation_id)
        wait(reading.values(), timeout=PATIENCE)
        found.log = server.events(operation_id)
        found.cuts, found.streams, found.retries = dict(proxy.cuts), dict(proxy.streams), proxy.retries
        for name, future in reading.items():
            assert future.done() or not future.cancel(), name
            error = future.exception() if future.done() else TimeoutError(f"{name} still reads: {found.streams}")
            found.read[name] = error or future.result()
        yield found
    finally:
        proxy.stop()
        server.kill()
        pool.shutdown(wait=False, cancel_futures=True)


def test_the_log_of_a_killed_run_and_of_its_successor_is_whole(story):
    """Thirteen chunks and three lines of each run, versions rising by one, and one done at the end."""
    chunks = [(data["run"], data["chunk"]["number"]) for _, name, data in story.expected if name == "output"]
    assert chunks == [(run, number) for run in (1, 2) for number in range(1, 14)]
    assert [int(identity) for identity, _, _ in story.expected] == list(range(1, len(story.log) + 1))
    assert [name for _, name, _ in story.log].count("done") == 1
    assert story.log[-1][1] == "done"
    assert all(data["chunk"]["text"] == HOSTILE for _, name, data in story.expected if name == "output")


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_gets_exactly_the_log(story, name):
    """Cut after every five events and over a kill -9, each reader has the log: nothing twice, nothing missing."""
    if name in story.missing:
        pytest.skip(story.missing[name])
    read = story.read[name]
    if isinstance(read, BaseException):
        raise read
    assert [(identity, kind, json.loads(data)) for identity, kind, data in read] == story.expected
    assert story.cuts[name] >= len(story.log) // 5 - 1
    assert story.streams[name] > story.cuts[name], "the kill of the server cut no stream"


def test_event_sources_get_the_data_byte_for_byte(story):
    """The text of the data is the log's, not merely an equal value."""
    plain = [name for name in NAMES if "websocket" not in name and name != "wsproto" and name not in story.missing]
    different = [name for name in plain if [tuple(event) for event in story.read[name]] != story.log]
    assert different == []


def test_every_stream_says_when_to_come_back(story):
    """Each stream that carried an event carried one retry, spread around two seconds."""
    waits = [int(line.split()[1]) for line in story.retries]
    assert len(waits) > len(NAMES)
    assert all(1500 <= wait <= 2500 for wait in waits)
    assert len(set(waits)) > 1
