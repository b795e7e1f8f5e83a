"""A reader that changes its transport at any moment sees every change once."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from raincheck.core import transitions
from raincheck.core.events import EventType, Output, history
from raincheck.core.operation import Progress
from raincheck.core.wire import Links
from raincheck.fastapi.socket_messages import Subscribe
from raincheck.fastapi.stream_making import before_done, version_only
from raincheck.fastapi.streams import EventStream
from raincheck.fastapi.websocket import _Connection
from raincheck.roles import feed as feed_module
from raincheck.roles.follower import Follower
from raincheck.roles.tail import Tail
from raincheck.stores.memory import MemoryStore
from raincheck.testing.conformance.specimens import NOW, SECOND, start, started, succeed
from tests.contract.event_stream import Parser

LINKS = Links("/operations")


class Wanderer:
    """A client that has one cursor and takes it from transport to transport."""

    def __init__(self, tail, store, operation_id, *, after):
        self._tail = tail
        self._store = store
        self._id = operation_id
        self.cursor = after
        self.base = after
        self.seen = []
        self.task = None
        self.over = False

    def take(self, kind, version, data):
        if kind == "snapshot":
            done = data["resource"]["done"]
            self.base = version - 1 if done else version
            self.cursor = None if done else version
            self.seen.clear()
        else:
            self.cursor = version
            self.seen.append((kind, version, data))
        self.over = self.over or kind == "done"

    async def open(self, transport):
        await self.cut()
        self.task = asyncio.create_task(getattr(self, transport)())
        self.task.set_name(transport)

    async def cut(self):
        if self.task is not None:
            self.task.cancel()
            [error] = await asyncio.gather(self.task, return_exceptions=True)
            assert error is None or isinstance(error, asyncio.CancelledError), error
            self.task = None

    def follow(self, positions):
        [(operation_id, position)] = positions.items()
        return Follower(tail=self._tail, store=self._store, operation_id=operation_id, position=position)

    async def stream(self):
        """Read Server-Sent Events, as the route gives them."""
        operation = await self._store.get(self._id)
        if self.cursor is not None and operation.done and self.cursor >= operation.version:
            return
        position = before_done(operation) if self.cursor is None else self.cursor
        response = EventStream(
            self.follow({self._id: position}),
            links=LINKS,
            cursor=version_only,
            snapshots=[operation] if self.cursor is None else [],
        )
        parser = Parser()

        async def send(message):
            for frame in parser.feed(message.get("body", b"")):
                assert frame.id == str(frame.version) or (frame.id is None and frame.event == "snapshot")
                self.take(frame.event, frame.version, frame.data)
                await asyncio.sleep(0)

        await response({}, asyncio.Event().wait, send)

    async def socket(self):
        """Subscribe over a WebSocket."""

        async def get(operation_id, *, owner):
            return await self._store.get(operation_id)

        async def send_text(text):
            message = json.loads(text)
            if message["type"] == "event":
                self.take(message["event"], message["version"], message["data"])
            else:
                assert message == {"type": "complete", "id": "1"}
            await asyncio.sleep(0)

        service = SimpleNamespace(get=get, poll_after=lambda _: SECOND)
        parts = SimpleNamespace(service=service, follow=self.follow, when_draining=None)
        connection = _Connection(SimpleNamespace(send_text=send_text), parts, owner="", links=LINKS)
        await connection._follow(Subscribe("1", self._id, self.cursor))

    async def poll(self):
        """Wait for a newer version than the cursor's; the events are left to the next stream."""
        with self._tail.watch(self._id) as watcher:
            operation = await self._store.get(self._id)
            while operation.version <= (self.cursor or 0) and not operation.done:
                await watcher.wait(asyncio.get_running_loop().time() + 30)
                operation = watcher.newest or operation
        assert operation.version >= (self.cursor or 0)


WRITES = st.tuples(
    st.sampled_from(["output", "outputs", "progress", "both", "restart"]),
    st.sampled_from(["here", "late", "elsewhere"]),
)
STEPS = st.one_of(
    st.tuples(st.just("write"), WRITES),
    st.tuples(st.just("write"), WRITES),
    st.tuples(st.just("open"), st.sampled_from(["stream", "socket", "poll"])),
    st.tuples(st.just("cut"), st.none()),
    st.tuples(st.just("look"), st.none()),
    st.tuples(st.just("late"), st.booleans()),
    st.tuples(st.just("turns"), st.sampled_from([1, 2, 5, 50])),
    st.tuples(st.just("turns"), st.sampled_from([3, 50])),
)


def written(kind, number):
    """Return the transition of a write."""
    entries = [Output(str(number))] * {"output": 1, "both": 1, "outputs": 3}.get(kind, 0)
    progress = Progress(fraction=min(1.0, number / 100)) if kind in {"progress", "both"} else None
    return lambda found: transitions.record(
        found, run=found.run, entries=entries, progress=progress, now=NOW + number * SECOND
    )


async def wander(steps, *, after, limit, ending):  # noqa: C901 - one life, read from top to bottom
    """Run a whole life with a reader that wanders, and return what it saw and what there was."""
    store = MemoryStore()
    await store.open()
    read = store.events_after
    store.events_after = lambda cursors: read(cursors, limit=limit)
    tail = Tail(store=store)
    committed = []
    late = []
    store.subscribe(committed.extend)

    def tell(how):
        if how == "here":
            tail.committed(list(committed))
        elif how == "late":
            late.extend(committed)
        committed.clear()

    operation = await started(store)
    tell("here")
    reader = Wanderer(tail, store, operation.id, after=after)
    for number, (step, detail) in enumerate(steps):
        match step:
            case "write" if detail[0] == "restart":
                run = (await store.get(operation.id)).run
                await store.change(operation.id, lambda found, run=run: transitions.release(found, run=run, now=NOW))
                tell(detail[1])
                await start(store, operation.id)
                tell(detail[1])
            case "write":
                await store.change(operation.id, written(detail[0], number))
                tell(detail[1])
            case "open":
                await reader.open(detail)
            case "cut":
                await reader.cut()
            case "look":
                await tail.run_once()
            case "late":
                tail.committed(late[::-1] if detail else late)
                late.clear()
            case "turns":
                for _ in range(detail):
                    await asyncio.sleep(0)
    run = (await store.get(operation.id)).run
    await succeed(store, operation.id, run=run, now=NOW + 1000 * SECOND)
    tell(ending)
    await tail.run_once()
    for _ in range(50):
        await asyncio.sleep(0)
    for transport in ("stream", "socket") * 20:
        if reader.over:
            break
        await reader.open(transport)
        await asyncio.wait_for(asyncio.gather(reader.task, return_exceptions=True), 10)
    await reader.cut()
    record = await store.get(operation.id)
    return reader, history(record, store._events[operation.id], after=reader.base or 0)


class TestAnyTransport:
    """The version is the cursor of every channel."""

    @given(
        steps=st.lists(STEPS, min_size=10, max_size=60),
        after=st.sampled_from([0, 0, 1, 2, None]),
        limit=st.sampled_from([1, 3, 1000]),
        most_portions=st.sampled_from([1, 3, 1000]),
        ending=st.sampled_from(["here", "late", "elsewhere"]),
    )
    @settings(max_examples=200, deadline=None)
    def test_a_reader_that_wanders_sees_all_and_nothing_twice(self, steps, after, limit, most_portions, ending):
        """It changes transport and is cut at any moment, hints are lost, late or out of order, buffers overrun."""
        before = feed_module._MOST_PORTIONS
        feed_module._MOST_PORTIONS = most_portions
        try:
            reader, whole = asyncio.run(wander(steps, after=after, limit=limit, ending=ending))
        finally:
            feed_module._MOST_PORTIONS = before
        versions = [version for _, version, _ in reader.seen]
        assert versions == sorted(set(versions))
        expected = [(event.type.value, event.version) for event in whole]
        seen = [(kind, version) for kind, version, _ in reader.seen]
        superseded = [each for each in seen if each not in expected]
        assert all(kind == "progress" for kind, _ in superseded)
        assert [each for each in seen if each in expected] == expected
        for _, version, data in reader.seen:
            assert data["version"] == version
        chunks = [json.loads(event.data)["chunk"] for event in whole if event.type is EventType.OUTPUT]
        assert [data["chunk"] for kind, _, data in reader.seen if kind == "output"] == chunks
