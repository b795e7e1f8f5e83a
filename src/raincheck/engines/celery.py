"""Celery, for fleets that run it already: one task in the application's own Celery app.

Celery's workers are Celery's: started, scaled and watched with its tools. Each of their processes enters the
application once, in a thread with an event loop, and a Celery task lasts as long as the run that it began, so Celery's
concurrency is the number of operations. Its acknowledgement comes early and its retries, time-outs and results are not
used: early ones lose tasks and late ones double them, and the lease makes up for either.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

from celery import current_app, signals

from raincheck.core.dispatch_rules import Terms
from raincheck.engines.priorities import HIGHEST_LEVEL, level_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from celery import Celery
    from celery.worker.consumer import Consumer

    from raincheck.ports_engines import Desk, Dispatch
    from raincheck.ports_functions import Kind

logger = logging.getLogger("raincheck.engine")
TASK = "raincheck.take"
_START_PATIENCE = 60.0
_STOP_PATIENCE = 10.0


class CeleryEngine:
    """Implements Engine, and registers the task ``raincheck.take``.

    Operations of the queue ``default`` go where Celery sends the task by itself, those of another queue to Celery's
    queue of that name.

    :param app: the Celery application; None: Celery's current one.
    """

    name = "celery"
    terms = Terms(delays=False)
    transactional = False
    hosts_workers = False
    prioritises = True

    def __init__(self, app: Celery | None = None) -> None:
        self._app = current_app if app is None else app
        self._executors: dict[str, str] = {}
        self._transport = ""
        self._worker = Worker()

        def take(operation_id: str, executor: str) -> None:
            self._worker.take(operation_id, executor)

        self._task = self._app.task(name=TASK, shared=False, acks_late=False, ignore_result=True, max_retries=0)(take)
        signals.worker_process_init.connect(self._process_began, weak=False)
        signals.worker_ready.connect(self._worker_is_ready, weak=False)
        signals.worker_process_shutdown.connect(self._process_ends, weak=False)
        signals.worker_shutdown.connect(self._process_ends, weak=False)

    def attach(self, enter: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Learn how a process of Celery's enters the application."""
        self._worker.enter = enter

    async def start(self, kinds: Mapping[str, Kind], *, clock: Callable[[], datetime]) -> None:
        """Learn which executor a kind needs; Celery connects when it sends."""
        del clock
        self._executors = {kind.name: kind.executor for kind in kinds.values()}
        with self._app.connection_for_write() as connection:  # which connects at its first use only
            self._transport = connection.transport.driver_type

    async def stop(self) -> None:
        """Leave the connections to Celery's pool."""

    async def dispatch(self, dispatches: Sequence[Dispatch]) -> None:
        """Send tasks, once each, from a thread."""
        await asyncio.to_thread(self._send, dispatches)

    def _send(self, dispatches: Sequence[Dispatch]) -> None:
        with self._app.producer_or_acquire() as producer:
            for each in dispatches:
                executor = self._executors.get(each.kind)
                if executor is not None:  # else another application's; its own processes find it past its moment
                    options = options_for(each, self._transport)
                    self._task.apply_async((each.id, executor), producer=producer, retry=False, **options)

    async def work(self, desk: Desk) -> None:
        """Let tasks hand in their operations here."""
        self._worker.open(desk)

    async def rest(self) -> None:
        """Take no task any more; Celery has stopped sending by then."""
        self._worker.desk = None

    async def describe(self) -> str:
        """Return which workers answer."""
        answers = await asyncio.to_thread(self._app.control.ping, timeout=1.0)
        names = sorted(name for answer in answers for name in answer)
        return f"{len(names)} workers of Celery answer: {', '.join(names)}" if names else "no worker of Celery answers"

    def _process_began(self, **_: object) -> None:
        self._worker.begin()

    def _worker_is_ready(self, sender: Consumer, **_: object) -> None:
        """Enter the application in a worker of threads, which else takes over nothing until its first task comes."""
        from celery.concurrency.prefork import TaskPool  # noqa: PLC0415 - what only workers load

        if not isinstance(sender.pool, TaskPool):  # its processes have entered it, and more are forked off this one
            self._worker.begin()

    def _process_ends(self, **_: object) -> None:
        self._worker.end()


def options_for(dispatch: Dispatch, transport: str) -> dict[str, Any]:
    """Return how Celery is to send a message, by the kind of its broker: of two levels Redis takes the lower first."""
    options: dict[str, Any] = {} if dispatch.queue == "default" else {"queue": dispatch.queue}
    match transport:
        case "amqp":
            options["priority"] = level_of(dispatch.priority)
        case "redis":
            options["priority"] = HIGHEST_LEVEL - level_of(dispatch.priority)
    return options


class Worker:
    """The application inside one process of Celery's, entered as it begins, or with its first task at the latest."""

    def __init__(self) -> None:
        self.enter: Callable[[], AbstractAsyncContextManager[None]] | None = None
        self.desk: Desk | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._turn = threading.Lock()
        self._ready = threading.Event()
        self._ending: asyncio.Event | None = None

    def take(self, operation_id: str, executor: str) -> None:
        """Run an operation to its end: the body of the Celery task."""
        self.begin()
        if not self._ready.wait(_START_PATIENCE) or self._loop is None:
            msg = "the application did not start in this process; its log says why. The operation waits for another"
            raise RuntimeError(msg)
        asyncio.run_coroutine_threadsafe(self._take(operation_id, executor), self._loop).result()

    async def _take(self, operation_id: str, executor: str) -> None:
        desk = self.desk
        if desk is None or await desk.room(executor) == 0:
            return  # this process ends; the operation is told of again
        desk.expect(executor, 1)
        await desk.take(operation_id, executor=executor, to_the_end=True)

    def open(self, desk: Desk) -> None:
        """Let tasks through."""
        self.desk, self._loop = desk, asyncio.get_running_loop()
        self._ready.set()

    def begin(self) -> None:
        """Enter the application, if this process has not."""
        with self._turn:
            if self._thread is None or not self._thread.is_alive():
                self._ready.clear()
                self._thread = threading.Thread(target=self._run, name="raincheck-celery", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Leave the application: running work is given its time to end, the rest is handed back."""
        with self._turn:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None and self._ending is not None:
            self._loop.call_soon_threadsafe(self._ending.set)
        thread.join(_STOP_PATIENCE)

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except Exception:
            logger.exception("the application could not be entered in this process of Celery's")

    async def _live(self) -> None:
        if self.enter is None:
            msg = "this engine was not passed to a Raincheck: Raincheck(app, engine=CeleryEngine(celery_app))"
            raise RuntimeError(msg)
        self._ending = asyncio.Event()
        async with self.enter():
            await self._ending.wait()
