"""Keeps an engine's own workers running in this process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

logger = logging.getLogger("raincheck.engine")
_PAUSE = 1.0
_REMINDER = 60.0
_PATIENCE = 2.0


class Hosting:
    """Starts workers anew whatever ends them, until they are to rest.

    :param name: the engine's.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent_until = 0.0
        self._stops: list[Callable[[], None]] = []
        self.resting = False

    def begin(self) -> None:
        """Let workers run, after an earlier rest too."""
        self.resting = False

    def keep(self, work: Callable[[], Awaitable[None]], *, what: str) -> None:
        """Run a worker, and again whenever it has ended."""
        task = asyncio.create_task(self._again(work, what), name=f"raincheck-{self._name}-{what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @contextlib.contextmanager
    def stopped_by(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call this at the rest, as long as the block lasts; at once, if that has come already."""
        if self.resting:
            stop()
        self._stops.append(stop)
        try:
            yield
        finally:
            self._stops.remove(stop)

    async def until_rest(self, seconds: float) -> None:
        """Wait for the rest, or so long."""
        resting = asyncio.Event()
        with self.stopped_by(resting.set), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await resting.wait()

    async def rest(self) -> None:
        """Tell the workers to stop, wait a moment for what they have in hand, then cancel them."""
        self.resting = True
        for stop in self._stops:
            stop()
        tasks = set(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=_PATIENCE)
        for task in tasks:
            task.cancel()
        if tasks:  # a client library that swallows a cancel must not hold up the end of the process
            await asyncio.wait(tasks, timeout=_PATIENCE)

    async def _again(self, work: Callable[[], Awaitable[None]], what: str) -> None:
        while not self.resting:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever an engine's worker dies of, the next one may live
                self._say(what, error)
            if not self.resting:
                await asyncio.sleep(_PAUSE)

    def _say(self, what: str, error: Exception) -> None:
        """Say it, but not more than once a minute: a server that is away for an hour must not fill the log."""
        now = time.monotonic()
        if not self.resting and now >= self._silent_until:
            self._silent_until = now + _REMINDER
            logger.warning("the %s worker for %s ended and is started anew: %r", self._name, what, error)
