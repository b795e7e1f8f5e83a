"""The executor for ``def``: a bounded set of daemon threads, apart from the threads that serve requests."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

from raincheck.core.outcome import Interrupted
from raincheck.executors._slots import Slots
from raincheck.executors._switch_interval import BUSY_INTERVAL, SwitchInterval
from raincheck.executors._threads import Threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raincheck.core.outcome import Outcome
    from raincheck.invocation import Invocation
    from raincheck.ports_functions import Kind

STOP_PATIENCE = 1.0


class ThreadExecutor:
    """Runs functions on threads of its own; all sync pieces of one run happen on one thread.

    A thread cannot be stopped from outside: interrupting sets ``op.cancelled``, and the function must look at it
    (``op.track``, ``op.raise_if_cancelled()``). A function that never does keeps its slot until the process ends,
    which it does not hold up.
    """

    name = "thread"

    def __init__(self, *, slots: int, switch_interval: float = BUSY_INTERVAL) -> None:
        self._slots = Slots(slots)
        self._interval = SwitchInterval(switch_interval)
        self._threads = Threads(self.name)
        self._tasks: dict[Invocation, asyncio.Task[None]] = {}

    @property
    def slots(self) -> int:
        """The number of runs at a time."""
        return self._slots.total

    @property
    def free(self) -> int:
        """The number of runs that may start now."""
        return self._slots.free

    async def start(self, kinds: Sequence[Kind]) -> None:  # noqa: ARG002 - nothing to prepare
        """Make ready to run."""
        self._threads = Threads(self.name)

    async def stop(self) -> None:
        """Ask all runs to stop and wait about a second; who goes on is left behind."""
        for invocation in tuple(self._tasks):
            self.interrupt(invocation)
        if self._tasks:
            await asyncio.wait(tuple(self._tasks.values()), timeout=STOP_PATIENCE)
        self._threads.stop()

    async def run(self, invocation: Invocation) -> Outcome:
        """Run a function to its end.

        :raises asyncio.CancelledError: the caller was cancelled; the function is asked to stop, and keeps its slot
            until it does.
        :raises RuntimeError: this machine has no thread left.
        """
        await self._slots.take()
        outcomes: list[Outcome] = []
        self._interval.enter()
        task = asyncio.create_task(self._perform(invocation, outcomes), name=f"raincheck-{invocation.context.id}")
        self._tasks[invocation] = task
        task.add_done_callback(lambda _: self._ended(invocation))
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            invocation.context.request_cancel()
            raise
        if not task.cancelled():
            task.result()
        return outcomes[0] if outcomes else Interrupted()

    def interrupt(self, invocation: Invocation) -> None:
        """Ask a run to stop; only its async parts can be made to."""
        invocation.context.request_cancel()
        task = self._tasks.get(invocation)
        if task is not None and inspect.iscoroutinefunction(invocation.kind.function):
            task.cancel()

    async def _perform(self, invocation: Invocation, outcomes: list[Outcome]) -> None:
        if invocation.context.cancelled:
            return
        thread = self._threads.for_one_run()
        thread.take()  # here and not at the first call, where it would look like a failure of the function
        try:
            outcomes.append(await invocation.perform(thread.call))
        finally:
            thread.release()

    def _ended(self, invocation: Invocation) -> None:
        del self._tasks[invocation]
        self._interval.leave()
        self._slots.give_back()
