"""RabbitMQ for the engine ``taskiq``: the broker of taskiq-aio-pika, for one topic, with priorities.

RabbitMQ pushes: each consumer has the next message before it asks. A worker that is full must not keep it from those
that have room, so one that nobody asks for within a moment goes back to its place in the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aio_pika import ExchangeType
from taskiq import AckableMessage
from taskiq_aio_pika import AioPikaBroker, Exchange, Queue, QueueType

from raincheck.engines.priorities import HIGHEST_LEVEL

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

_KEPT = 0.1
_SILENCE = 10.0
_CONNECT_TIMEOUT = 3.0
_RECONNECT_INTERVAL = 1.0


class RabbitBroker(AioPikaBroker):
    """Sends to one durable queue, and takes one message at a time from it.

    :param url: such as ``amqp://user:password@host:5672/vhost``.
    :param topic: names the queue and its exchange.
    """

    def __init__(self, url: str, topic: str) -> None:
        # A queue's levels are fixed when it is declared, and quorum queues have none.
        queue = Queue(name=topic, type=QueueType.CLASSIC, max_priority=HIGHEST_LEVEL)
        super().__init__(
            url,
            qos=1,
            exchange=Exchange(name=topic, type=ExchangeType.DIRECT),
            task_queues=[queue],
            dead_letter_queue=Queue(name=f"{topic}-dead", type=QueueType.CLASSIC),
            timeout=_CONNECT_TIMEOUT,
            reconnect_interval=_RECONNECT_INTERVAL,
        )

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """Yield messages as they are asked for."""
        if self.read_channel is None:
            msg = "startup comes first, in a process that works"
            raise RuntimeError(msg)
        await self.read_channel.set_qos(prefetch_count=1)
        inbox = Inbox(self._declared)
        try:
            while True:
                message = await inbox.take()
                yield AckableMessage(data=message.body, ack=message.ack)
        finally:
            await inbox.close()

    async def _declared(self) -> AbstractQueue:
        assert self.read_channel is not None
        [(queue, _)] = await self._declare_queues(self.read_channel)
        return queue


class Inbox:
    """What a queue has pushed to this process and nobody has asked for yet.

    :param declare: makes the queue if it is not there, and returns it.
    """

    def __init__(self, declare: Callable[[], Awaitable[AbstractQueue]]) -> None:
        self._declare = declare
        self._queue: AbstractQueue | None = None
        self._pushed: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        self._consumer: str | None = None
        self._turn = asyncio.Lock()
        self._soon: asyncio.TimerHandle | None = None
        self._returning: asyncio.Task[None] | None = None

    async def take(self) -> AbstractIncomingMessage:
        """Wait for the next message."""
        self._stay()
        while True:
            async with self._turn:
                if self._consumer is None:
                    self._queue = await self._declare()
                    self._consumer = await self._queue.consume(self._pushed.put)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SILENCE):
                    message = await self._pushed.get()
                self._soon = asyncio.get_running_loop().call_later(_KEPT, self._go_back)
                return message
            await self._return()  # RabbitMQ forgets consumers with a queue that was deleted, and nobody is told

    async def close(self) -> None:
        """Take nothing more; what was pushed goes back."""
        self._stay()
        if self._returning is not None:
            await asyncio.wait([self._returning])
        await self._return()

    def _stay(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    def _go_back(self) -> None:
        self._returning = asyncio.get_running_loop().create_task(self._return(), name="raincheck-rabbitmq-return")

    async def _return(self) -> None:
        async with self._turn:
            consumer, self._consumer = self._consumer, None
            if consumer is not None and self._queue is not None:
                await self._queue.cancel(consumer)
            while not self._pushed.empty():
                await self._pushed.get_nowait().nack(requeue=True)
