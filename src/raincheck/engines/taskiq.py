"""Taskiq: messages go through one of its brokers: Redis streams, NATS JetStream, RabbitMQ or another.

The broker is not the database, so the operation's row is its own outbox: it is told after the commit, and told again
when the moment in the row has passed. A message is acknowledged when it is received, since the lease takes over from
there: acknowledged later, a broker would bring long operations again after its idle time.

There is one broker object for each queue and executor, so that threads which are all busy hold no coroutine up.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import re
from contextvars import ContextVar
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from taskiq.acks import AcknowledgeType
from taskiq.receiver import Receiver

from raincheck.core.dispatch_rules import Terms
from raincheck.core.errors import ConfigurationError
from raincheck.engines.hosting import Hosting
from raincheck.engines.priorities import level_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from taskiq import AsyncBroker

    from raincheck.ports_engines import Desk, Dispatch
    from raincheck.ports_functions import Kind

_TASK = "raincheck.take"
_AT_ONCE = 20
_PATIENCE = 5.0
_GRACE = 0.3
_MAXLEN = 100_000
_handed: ContextVar[list[str]] = ContextVar("handed")


class TaskiqEngine:
    """Implements Engine.

    :param make_broker: returns a new broker for a topic: a name of letters, digits and hyphens.
    :param prefix: how the topics begin; applications that share a server need different ones.
    :param prioritises: the broker delivers by the label ``priority`` of a message, 0 to 9, the highest first.
    """

    name = "taskiq"
    terms = Terms(delays=False)
    transactional = False
    hosts_workers = True

    def __init__(
        self, make_broker: Callable[[str], AsyncBroker], *, prefix: str = "raincheck", prioritises: bool = False
    ) -> None:
        self._make_broker = make_broker
        self._prefix = prefix
        self.prioritises = prioritises
        self._executors: dict[str, str] = {}
        self._senders: dict[str, AsyncBroker] = {}
        self._turn = asyncio.Lock()
        self._hosting = Hosting(self.name)

    def attach(self, enter: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Leave it: workers are hosted by Raincheck."""

    async def start(self, kinds: Mapping[str, Kind], *, clock: Callable[[], datetime]) -> None:
        """Learn where the messages of each kind go; brokers connect when the first message does."""
        del clock
        _quieten()
        self._executors = {kind.name: kind.executor for kind in kinds.values()}

    async def stop(self) -> None:
        """Disconnect."""
        async with self._turn:
            senders, self._senders = self._senders, {}
            for broker in senders.values():
                await _shut(broker)

    # --- dispatching ------------------------------------------------------------------------------------------------

    async def dispatch(self, dispatches: Sequence[Dispatch]) -> None:
        """Send messages; brokers that refuse are made anew for the next time."""
        topics: dict[str, list[Dispatch]] = {}
        for each in dispatches:
            executor = self._executors.get(each.kind)
            if executor is not None:  # else another application's; its own processes find it past its moment
                topics.setdefault(self.topic(each.queue, executor), []).append(each)
        for topic, told in topics.items():
            async with self._turn:
                try:
                    async with asyncio.timeout(_PATIENCE + len(told) / 100):
                        await self._send(topic, told)
                except BaseException:
                    broker = self._senders.pop(topic, None)
                    if broker is not None:
                        await _shut(broker)
                    raise

    async def _send(self, topic: str, told: Sequence[Dispatch]) -> None:
        broker = self._senders.get(topic)
        if broker is None:
            broker = self._senders[topic] = self._make_broker(topic)
            broker.register_task(_untaken, task_name=_TASK)
            await broker.startup()
        task = broker.find_task(_TASK)
        assert task is not None
        for start in range(0, len(told), _AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for each in told[start : start + _AT_ONCE]:
                    labels = {"priority": level_of(each.priority)} if self.prioritises else {}
                    group.create_task(task.kicker().with_labels(**labels).kiq(each.id))

    def topic(self, queue: str, executor: str) -> str:
        """Return the name under which a queue's messages for an executor go."""
        name = f"{self._prefix}-{queue}-{executor}"
        plain = re.sub(r"[^A-Za-z0-9-]", "-", name)
        return plain if plain == name else f"{plain}-{sha256(name.encode()).hexdigest()[:8]}"

    # --- working ----------------------------------------------------------------------------------------------------

    async def work(self, desk: Desk) -> None:
        """Listen to each topic that has kinds here."""
        self._hosting.begin()
        for queue, executor in sorted({(route.queue, route.executor) for route in desk.routes}):
            topic = self.topic(queue, executor)
            self._hosting.keep(functools.partial(self._listen, topic, executor, desk), what=topic)

    async def rest(self) -> None:
        """Listen no more; what was received is handed in by then."""
        await self._hosting.rest()

    async def _listen(self, topic: str, executor: str, desk: Desk) -> None:
        async def take(operation_id: str) -> None:
            _handed.get().append(operation_id)
            await desk.take(operation_id, executor=executor)

        broker = self._make_broker(topic)
        broker.is_worker_process = True
        broker.register_task(take, task_name=_TASK)
        resting = asyncio.Event()
        receiver = Receiver(broker, run_startup=False, ack_type=AcknowledgeType.WHEN_RECEIVED, max_async_tasks=1)
        try:
            await broker.startup()
            with self._hosting.stopped_by(resting.set):
                await self._bring(broker, receiver, executor, desk, resting)
        finally:
            await _shut(broker)

    async def _bring(
        self, broker: AsyncBroker, receiver: Receiver, executor: str, desk: Desk, resting: asyncio.Event
    ) -> None:
        async with asyncio.TaskGroup() as handing, _closing(broker.listen()) as messages:
            while not resting.is_set() and await desk.room(executor) > 0:
                message = await _next(messages, resting)
                if message is None:
                    break
                desk.expect(executor, 1)
                handing.create_task(_hand_in(receiver, message, desk, executor))

    async def describe(self) -> str:
        """Return the kind of broker, after a connection to it."""
        topic = self.topic("default", "async")
        broker = self._make_broker(topic)
        try:
            async with asyncio.timeout(_PATIENCE):
                await broker.startup()
        finally:
            await _shut(broker)
        return f"{type(broker).__name__} answers; topics are named as {topic}"


async def _hand_in(receiver: Receiver, message: Any, desk: Desk, executor: str) -> None:
    """Let Taskiq acknowledge and call the task; a message that it cannot read gives its slot back."""
    handed: list[str] = []
    _handed.set(handed)
    try:
        await receiver.callback(message)
    finally:
        if not handed:
            desk.expect(executor, -1)


async def _next(messages: AsyncIterator[Any], resting: asyncio.Event) -> Any:
    """Return the next message; None once it is time to rest and none comes any more."""
    coming = asyncio.ensure_future(anext(messages))
    coming.add_done_callback(_heard)  # NATS makes an error of the cancel below, which nobody waits for
    rest = asyncio.ensure_future(resting.wait())
    try:
        await asyncio.wait({coming, rest}, return_when=asyncio.FIRST_COMPLETED)
        if not coming.done():
            await asyncio.wait({coming}, timeout=_GRACE)
        return coming.result() if coming.done() else None
    finally:
        for each in (coming, rest):
            each.cancel()
        await asyncio.wait({coming, rest}, timeout=_GRACE)


@contextlib.asynccontextmanager
async def _closing(messages: Any) -> AsyncIterator[Any]:
    try:
        yield messages
    finally:
        await _briefly(messages.aclose())


async def _shut(broker: AsyncBroker) -> None:
    await _briefly(broker.shutdown())


async def _briefly(end: Coroutine[Any, Any, object]) -> None:
    """Wait a moment for an end, however it comes: the server may be away, and its client may wait for it."""
    ending = asyncio.ensure_future(end)
    ending.add_done_callback(_heard)
    await asyncio.wait({ending}, timeout=1.0)


def _heard(done: asyncio.Future[Any]) -> None:
    """Take note of an error that nobody needs, so that it is not logged as one that nobody has seen."""
    if not done.cancelled():
        done.exception()


async def _untaken(operation_id: str) -> None:
    """Stand for the task where messages are only sent."""
    del operation_id


def _quieten() -> None:
    """Keep a line for each message out of the log, unless the application has said what it wants to read."""
    for name in ("taskiq", "taskiq.receiver.receiver"):
        log = logging.getLogger(name)
        if log.level == logging.NOTSET:
            log.setLevel(logging.WARNING)


# --- brokers by URL -----------------------------------------------------------------------------------------------


def engine_for(url: str, *, prefix: str = "raincheck") -> TaskiqEngine:
    """Return the engine on the broker of a URL.

    :raises ConfigurationError: the URL is unknown, or its package is not installed.
    """
    return TaskiqEngine(broker_maker(url), prefix=prefix, prioritises=url.startswith("amqp"))


def broker_maker(url: str) -> Callable[[str], AsyncBroker]:
    """Return what makes brokers for a URL.

    :raises ConfigurationError: the URL is unknown, or its package is not installed.
    """
    if not url:
        msg = (
            "engine='taskiq' needs a broker: set RAINCHECK_BROKER=redis://host:6379/0, nats://host:4222 or "
            "amqp://host:5672, or pass Raincheck(engine=TaskiqEngine(make_broker))."
        )
        raise ConfigurationError(msg)
    scheme = url.partition("://")[0]
    try:
        match scheme:
            case "redis" | "rediss" | "valkey":
                return _redis(re.sub("^valkey", "redis", url))
            case "nats" | "tls":
                return _nats(url)
            case "amqp" | "amqps":
                return _rabbit(url)
    except ImportError as error:
        msg = f"A {scheme}:// broker needs a package that is not installed: pip install 'raincheck[taskiq]'."
        raise ConfigurationError(msg) from error
    msg = (
        f"RAINCHECK_BROKER begins with {scheme!r}, for which there is no broker here. Use redis://, nats:// or "
        "amqp://, or pass Raincheck(engine=TaskiqEngine(make_broker)) with any broker of Taskiq (docs/engines.md)."
    )
    raise ConfigurationError(msg)


def _redis(url: str) -> Callable[[str], AsyncBroker]:
    from taskiq_redis import RedisStreamBroker  # noqa: PLC0415 - of one broker among several

    return lambda topic: RedisStreamBroker(
        url,
        queue_name=topic,
        consumer_group_name=topic,
        consumer_id="0",  # the default leaves out what was sent before the first worker came
        maxlen=_MAXLEN,  # a stream keeps what was acknowledged
        xread_count=1,  # what this process has no room for stays for others
        xread_block=1000,
        unacknowledged_lock_timeout=10.0,  # else a worker that died while it held the lock locks all others out
        socket_connect_timeout=3.0,
    )


def _rabbit(url: str) -> Callable[[str], AsyncBroker]:
    from raincheck.engines.rabbitmq import RabbitBroker  # noqa: PLC0415

    return lambda topic: RabbitBroker(url, topic)


def _nats(url: str) -> Callable[[str], AsyncBroker]:
    from nats.js.api import ConsumerConfig, RetentionPolicy, StreamConfig  # noqa: PLC0415
    from taskiq_nats import PullBasedJetStreamBroker  # noqa: PLC0415

    return lambda topic: PullBasedJetStreamBroker(
        url,
        subject=topic,
        stream_name=topic,
        durable=topic,
        stream_config=StreamConfig(retention=RetentionPolicy.WORK_QUEUE),  # else what was acknowledged is kept
        consumer_config=ConsumerConfig(durable_name=topic, ack_wait=30.0),
        pull_consume_timeout=1.0,
        connect_timeout=3,
        max_reconnect_attempts=3,
        allow_reconnect=False,  # this engine makes a new broker, which declares the stream again
    )
