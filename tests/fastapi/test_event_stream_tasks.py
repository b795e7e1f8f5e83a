"""The two tasks of an event stream: one waits for the client to go, the other tells; they end together."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
from types import SimpleNamespace

import pytest

from raincheck.core import transitions
from raincheck.core.events import Output
from raincheck.core.wire import Links
from raincheck.fastapi.stream_making import before_done, version_only
from raincheck.fastapi.streams import EventStream
from raincheck.roles import feed as feed_module
from raincheck.roles.feed import Portion
from raincheck.roles.follower import Follower
from raincheck.roles.tail import Tail
from raincheck.stores.memory import MemoryStore
from raincheck.testing.conformance.specimens import NOW, started, succeed

pytestmark = pytest.mark.anyio


class Streamed:
    """The stream of a running operation, to a client that is here until ``gone`` is set."""

    def __init__(self):
        self._before = asyncio.all_tasks()
        self.asked = False
        self.gone = asyncio.Event()
        self.told = asyncio.Queue()
        self.ends = []
        self.store = MemoryStore()
        self.tail = Tail(store=self.store)

    async def begin(self, *, send=None, receive=None):
        """Return the task that answers, once it has told the snapshot."""
        await self.store.open()
        self.store.subscribe(self.tail.committed)
        self.operation = await started(self.store)
        task = asyncio.create_task(self.answer(send=send, receive=receive))
        await self.expect("http.response.start")
        await self.expect(b"event: snapshot")
        return task

    async def stuck(self):
        """Return the task that answers while a frame waits for a client that does not read."""
        waiting = asyncio.Event()

        async def sticking(message):
            if b"event: output" in message.get("body", b""):
                waiting.set()
                await asyncio.Event().wait()
            await self.told.put(message)

        answering = await self.begin(send=sticking)
        await self.emit()
        await asyncio.wait_for(waiting.wait(), 5)
        return answering

    async def answer(self, *, send=None, receive=None):
        """Answer with the stream, from the operation as it is now."""
        position = before_done(self.operation)
        response = EventStream(
            Follower(tail=self.tail, store=self.store, operation_id=self.operation.id, position=position),
            links=Links("/operations"),
            cursor=version_only,
            snapshots=[self.operation],
        )
        response.closed = self._closed
        response.background = self._background
        await response({}, receive or self.receive, send or self.told.put)

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

    async def receive(self):
        """Give the request, as a POST without a body is given, then wait for the end of the client."""
        if self.asked:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        self.asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

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
    assert answering.cancelling() == 0
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


async def test_a_server_that_cancels_an_answer_is_not_kept_by_a_send():
    """Which waits for a client that does not read."""
    stream = Streamed()
    answering = await stream.stuck()
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(answering), 5)
    assert stream.ends == ["closed"]
    assert stream.nobody_is_left()


async def test_a_reader_that_is_cut_off_behind_a_middleware_is_let_go(monkeypatch):
    """Where the connection is out of reach, the frame that the client does not take is given up."""
    monkeypatch.setattr(feed_module, "_MOST_PORTIONS", 2)
    stream = Streamed()
    answering = await stream.stuck()
    for _ in range(3):
        await stream.emit()
    await asyncio.wait_for(answering, 5)
    assert stream.ends == ["closed", "background"]
    assert stream.nobody_is_left()


async def test_a_reader_that_is_cut_off_is_hung_up_on(monkeypatch):
    """Where the connection is in reach: what was not sent is dropped with it."""
    monkeypatch.setattr(feed_module, "_MOST_PORTIONS", 2)
    stream = Streamed()

    class Cycle:
        def __init__(self):
            self.transport = SimpleNamespace(abort=stream.gone.set)

        async def receive(self):
            return await stream.receive()

    async def slow(message):
        if b"event: output" in message.get("body", b""):
            await stream.gone.wait()  # as a server lets a send return when the connection is lost
        await stream.told.put(message)

    answering = await stream.begin(send=slow, receive=Cycle().receive)
    for _ in range(4):
        await stream.emit()
        await asyncio.sleep(0)
    await asyncio.wait_for(answering, 5)
    assert stream.gone.is_set()
    assert stream.nobody_is_left()


@pytest.mark.parametrize("done", [False, True])
async def test_a_client_that_was_gone_before_gets_a_beginning(done):
    """Middlewares expect a status of every answer."""
    stream = Streamed()
    await stream.store.open()
    stream.operation = await started(stream.store)
    if done:
        stream.operation = await succeed(stream.store, stream.operation.id, run=stream.operation.run)
    stream.asked = True
    stream.gone.set()
    await asyncio.wait_for(stream.answer(), 5)
    await stream.expect("http.response.start")
    assert stream.ends == ["closed", "background"]
    assert stream.nobody_is_left()


async def test_a_read_of_the_store_is_not_broken_off():
    """A pool closes a connection whose query is cancelled, and a crowd that leaves would close them all."""
    stream = Streamed()
    reading, read = asyncio.Event(), asyncio.Event()
    answering = await stream.begin()
    events_after = stream.store.events_after
    broken = []

    async def slow(cursors):
        reading.set()
        try:
            await read.wait()
        except asyncio.CancelledError:
            broken.append(cursors)
            raise
        return await events_after(cursors)

    stream.store.events_after = slow
    for feed in stream.tail._feeds[stream.operation.id]:
        feed.push(Portion(stream.operation, stream.operation.version + 1, []))
    later = dataclasses.replace(stream.operation, version=stream.operation.version + 2)
    for feed in stream.tail._feeds[stream.operation.id]:
        feed.push(Portion(later, later.version, []))
    await asyncio.wait_for(reading.wait(), 5)
    stream.gone.set()
    await asyncio.sleep(0.01)
    assert stream.ends == []  # it waits for the read
    read.set()
    await asyncio.wait_for(answering, 5)
    assert broken == []
    assert stream.nobody_is_left()


async def test_a_send_that_fails_as_the_client_goes_is_told():
    """Nothing is lost, and nothing outlives the answer."""
    stream = Streamed()
    sending = asyncio.Event()

    async def failing(message):
        if b"event: output" in message.get("body", b""):
            sending.set()
            await stream.gone.wait()
            await asyncio.sleep(0.01)
            raise OSError("the connection is broken")
        await stream.told.put(message)

    answering = await stream.begin(send=failing)
    await stream.emit()
    await asyncio.wait_for(sending.wait(), 5)
    stream.gone.set()
    with pytest.raises(OSError, match="the connection is broken"):
        await asyncio.wait_for(answering, 5)
    assert stream.ends == ["closed"]
    assert stream.nobody_is_left()


@pytest.mark.parametrize("error", [OSError, TimeoutError])
async def test_a_receive_that_fails_ends_the_telling(error):
    """With its own error."""
    stream = Streamed()

    async def failing():
        await stream.gone.wait()
        raise error("no more messages")

    answering = await stream.begin(receive=failing)
    stream.gone.set()
    with pytest.raises(error, match="no more messages"):
        await asyncio.wait_for(answering, 5)
    assert stream.ends == ["closed"]
    assert stream.nobody_is_left()


async def test_a_cancel_that_a_middleware_swallows_holds_nothing_up():
    """``asyncio.wait_for`` of Python 3.11 loses one that comes together with its result."""
    stream = Streamed()
    arrived = asyncio.Event()

    async def deaf():
        with contextlib.suppress(asyncio.CancelledError):
            await arrived.wait()
        return {"type": "http.request", "body": b"", "more_body": True}

    answering = await stream.begin(receive=deaf)
    await succeed(stream.store, stream.operation.id, run=stream.operation.run)
    await asyncio.wait_for(answering, 5)
    assert answering.cancelling() == 0
    assert stream.ends == ["closed", "background"]
    assert stream.nobody_is_left()


async def test_the_first_and_the_last_message_are_sent_in_the_applications_context():
    """A middleware may set a variable at one and take it back at the other."""
    stream = Streamed()
    variable = contextvars.ContextVar("variable")
    tokens = []

    async def marking(message):
        if message["type"] == "http.response.start":
            tokens.append(variable.set("streaming"))
        elif not message["more_body"]:
            variable.reset(tokens.pop())
        await stream.told.put(message)

    answering = await stream.begin(send=marking)
    await succeed(stream.store, stream.operation.id, run=stream.operation.run)
    await asyncio.wait_for(answering, 5)
    assert tokens == []


async def test_what_ends_a_ticket_is_finished_though_the_answer_is_cancelled():
    """The client may come back with it for a while; without an end it would be good for ever."""
    stream = Streamed()
    ending, go_on = asyncio.Event(), asyncio.Event()

    async def slow():
        ending.set()
        await go_on.wait()
        stream.ends.append("closed")

    stream._closed = slow
    answering = await stream.begin()
    stream.gone.set()
    await asyncio.wait_for(ending.wait(), 5)
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    go_on.set()
    await asyncio.sleep(0.01)
    assert stream.ends == ["closed"]
