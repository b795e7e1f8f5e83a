"""How a worker listens to RabbitMQ, which pushes; on a queue in memory. The broker itself is in tests/conformance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from raincheck.engines import rabbitmq
from raincheck.engines.priorities import level_of
from raincheck.engines.rabbitmq import Inbox

pytestmark = pytest.mark.anyio
PATIENCE = 20.0


class Message:
    """One that was pushed."""

    def __init__(self, queue: MemoryQueue, body: str) -> None:
        self._queue = queue
        self.body = body

    async def nack(self, *, requeue: bool) -> None:
        assert requeue
        self._queue.waiting.insert(0, self.body)
        self._queue.returned.set()


class MemoryQueue:
    """Pushes one message to its consumer, and the next when it is told to."""

    def __init__(self, *bodies: str) -> None:
        self.waiting = list(bodies)
        self.returned = asyncio.Event()
        self.declared = asyncio.Semaphore(0)
        self._consumer: Callable[[Message], Awaitable[None]] | None = None

    async def declare(self) -> MemoryQueue:
        self.declared.release()
        return self

    async def consume(self, consumer: Callable[[Message], Awaitable[None]]) -> str:
        self._consumer = consumer
        await self.push()
        return "tag"

    async def cancel(self, consumer: str) -> None:
        assert consumer == "tag"
        self._consumer = None

    async def push(self) -> None:
        if self._consumer is not None and self.waiting:
            await self._consumer(Message(self, self.waiting.pop(0)))

    @property
    def consumed(self) -> bool:
        return self._consumer is not None


async def test_a_message_that_nobody_asks_for_goes_back_to_its_place():
    """The worker is full; another one may have room. With room again it takes what there is."""
    queue = MemoryQueue("one", "two", "three")
    inbox = Inbox(queue.declare)
    assert (await inbox.take()).body == "one"
    await queue.push()  # as RabbitMQ does once the first is acknowledged
    await asyncio.wait_for(queue.returned.wait(), PATIENCE)
    assert queue.waiting == ["two", "three"]
    assert not queue.consumed
    assert (await asyncio.wait_for(inbox.take(), PATIENCE)).body == "two"
    await inbox.close()


async def test_a_worker_with_room_keeps_its_consumer():
    """Message after message, without a question to the broker in between."""
    queue = MemoryQueue("one", "two")
    inbox = Inbox(queue.declare)
    await inbox.take()
    await queue.push()
    assert (await inbox.take()).body == "two"
    assert queue.declared._value == 1
    await inbox.close()


async def test_what_was_pushed_goes_back_when_a_worker_ends():
    """At once, before its connection is closed."""
    queue = MemoryQueue("one", "two")
    inbox = Inbox(queue.declare)
    await inbox.take()
    await queue.push()
    await inbox.close()
    assert queue.waiting == ["two"]
    assert not queue.consumed


async def test_a_queue_that_was_deleted_is_declared_again(monkeypatch):
    """RabbitMQ forgets the consumer with it, and says nothing."""
    monkeypatch.setattr(rabbitmq, "_SILENCE", 0.01)
    queue = MemoryQueue()
    inbox = Inbox(queue.declare)
    taking = asyncio.ensure_future(inbox.take())
    await asyncio.wait_for(queue.declared.acquire(), PATIENCE)
    queue._consumer = None  # deleted
    queue.waiting.append("late")
    assert (await asyncio.wait_for(taking, PATIENCE)).body == "late"
    await inbox.close()


def test_levels_keep_the_order_of_priorities():
    """Between the lowest and the highest of a broker; zero is in the middle."""
    assert [level_of(priority) for priority in (-(2**31), -4, -1, 0, 5, 2**31)] == [0, 0, 3, 4, 9, 9]
