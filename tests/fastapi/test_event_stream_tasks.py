"""The two tasks of an event stream: one waits for the client to go, the other tells; they end together."""

from __future__ import annotations

import asyncio

import pytest

from raincheck.core import transitions
from raincheck.core.events import Output
from raincheck.core.wire import Links
from raincheck.fastapi.stream_making import version_only
from raincheck.fastapi.streams import EventStream
from raincheck.roles import feed as feed_module
from raincheck.roles.follower import Follower
from raincheck.roles.tail import Tail
from raincheck.stores.memory import MemoryStore
from raincheck.testing.conformance.specimens import NOW, started, succeed

pytestmark = pytest.mark.anyio


class Streamed:
    """The stream of a running operation, to a client that is here until ``gone`` is set."""

    def __init__(self):
        self._before = asyncio.all_tasks()
        self.gone = asyncio.Event()
        self.told = asyncio.Queue()
        self.ends = []
        self.store = MemoryStore()
        self.tail = Tail(store=self.store)

    async def begin(self, *, send=None):
        """Return the task that answers, once it has told the snapshot."""
        await self.store.open()
        self.store.subscribe(self.tail.committed)
        self.operation = await started(self.store)
        positions = {self.operation.id: self.operation.version}
        response = EventStream(
            lambda cut: Follower(tail=self.tail, store=self.store, positions=positions, cut=cut),
            links=Links("/operations"),
            cursor=version_only,
            snapshots=[self.operation],
        )
        response.closed = self._closed
        response.background = self._background
        task = asyncio.create_task(response({}, self._receive, send or self.told.put))
        await self.expect("http.response.start")
        await self.expect(b"event: snapshot")
        return task

    async def expect(self, wanted):
        """Wait for a message of this type, or with this in its body."""
        async with asyncio.timeout(5):
            message = await self.told.get()
        assert wanted in {message["type"], message.get("body", b"")} or wanted in message["body"], message

    async def emit(self):
        """Have the operation emit a line."""
        run = self.operation.run
        await self.store.change(
            self.operation.id, lambda found: transitions.record(found, run=run, entries=[Output("1")], now=NOW)
        )

    async def _receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _closed(self):
        self.ends.append("closed")

    async def _background(self):
        self.ends.append("background")

    def nobody_is_left(self):
        """Say whether no task goes on and nothing is fed any more."""
        return asyncio.all_tasks() == self._before and not self.tail._feeds


async def test_a_server_that_never_tells_of_the_end_is_not_waited_for():
    """After the last frame the answer is over, though ``receive`` still waits."""
    stream = Streamed()
    answering = await stream.begin()
    await succeed(stream.store, stream.operation.id, run=stream.operation.run)
    await stream.expect(b"event: done")
    await asyncio.wait_for(answering, 5)
    await stream.expect(b"")
    assert stream.ends == ["closed", "background"]
    assert stream.nobody_is_left()


async def test_a_client_that_goes_ends_the_telling():
    """Nothing is sent after it, and its ticket ends."""
    stream = Streamed()
    answering = await stream.begin()
    stream.gone.set()
    await asyncio.wait_for(answering, 5)
    await asyncio.sleep(0)
    assert stream.told.empty()
    assert stream.ends == ["closed", "background"]
    assert stream.nobody_is_left()


async def test_what_a_send_raises_reaches_the_server():
    """A stream that cannot be told is a failed answer, as with any other response."""
    stream = Streamed()

    async def failing(message):
        if b"event: output" in message.get("body", b""):
            raise OSError("the connection is broken")
        await stream.told.put(message)

    answering = await stream.begin(send=failing)
    await stream.emit()
    with pytest.raises(OSError, match="the connection is broken"):
        await asyncio.wait_for(answering, 5)
    assert stream.ends == ["closed"]
    assert stream.nobody_is_left()


async def test_a_server_that_cancels_an_answer_sees_it_cancelled():
    """Also at the moment at which all has been told."""
    stream = Streamed()
    answering = await stream.begin()
    await succeed(stream.store, stream.operation.id, run=stream.operation.run)
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    await asyncio.sleep(0)
    assert stream.ends == ["closed"]
    assert stream.nobody_is_left()


async def test_a_reader_that_is_cut_off_behind_a_middleware_is_let_go(monkeypatch):
    """Where the connection is out of reach, the frame that the client does not take is given up."""
    monkeypatch.setattr(feed_module, "_MOST_PORTIONS", 2)
    stream = Streamed()
    stuck = asyncio.Event()

    async def slow(message):
        if b"event: output" in message.get("body", b""):
            stuck.set()
            await asyncio.Event().wait()
        await stream.told.put(message)

    answering = await stream.begin(send=slow)
    await stream.emit()
    await asyncio.wait_for(stuck.wait(), 5)
    for _ in range(3):
        await stream.emit()
    await asyncio.wait_for(answering, 5)
    assert stream.ends == ["closed", "background"]
    assert stream.nobody_is_left()
