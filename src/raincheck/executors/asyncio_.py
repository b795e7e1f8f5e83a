"""The executor for ``async def``: a task in the running loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from raincheck.core.outcome import Interrupted
from raincheck.executors._slots import Slots
from raincheck.executors._threads import Threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raincheck.core.outcome import Outcome
    from raincheck.executors._threads import RunThread
    from raincheck.invocation import Invocation
    from raincheck.ports_functions import Kind

STOP_PATIENCE = 1.0


class AsyncioExecutor:
    """Runs functions as tasks of the loop that serves requests.

    Interrupting cancels the task. Sync dependencies run on a thread, which is taken only when there are any.
    """

    name = "async"

    def __init__(self, *, slots: int = 100) -> None:
        self._slots = Slots(slots)
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
        """Interrupt all runs and wait about a second for their end."""
        for invocation in tuple(self._tasks):
            self.interrupt(invocation)
        if self._tasks:
            await asyncio.wait(tuple(self._tasks.values()), timeout=STOP_PATIENCE)
        self._threads.stop()

    async def run(self, invocation: Invocation) -> Outcome:
        """Run a function to its end.

        :raises asyncio.CancelledError: the caller was cancelled; the function was too, and has ended.
        """
        await self._slots.take()
        try:
            if invocation.context.cancelled:
                return Interrupted()
            return await self._run(invocation)
        finally:
            self._slots.give_back()

    def interrupt(self, invocation: Invocation) -> None:
        """Ask a run to stop and cancel its task."""
        invocation.context.request_cancel()
        task = self._tasks.get(invocation)
        if task is not None:
            task.cancel()

    async def _run(self, invocation: Invocation) -> Outcome:
        thread = self._threads.for_one_run()
        outcomes: list[Outcome] = []
        task = asyncio.create_task(_perform(invocation, thread, outcomes), name=f"raincheck-{invocation.context.id}")
        self._tasks[invocation] = task
        caller = asyncio.current_task()
        earlier = caller.cancelling() if caller is not None else 0
        try:
            await task
        except asyncio.CancelledError:
            if not task.done():
                raise
        finally:
            del self._tasks[invocation]
            thread.release()
        if caller is not None and caller.cancelling() > earlier:
            raise asyncio.CancelledError
        return outcomes[0] if outcomes else Interrupted()


async def _perform(invocation: Invocation, thread: RunThread, outcomes: list[Outcome]) -> None:
    """Keep the outcome outside the task: a cancel that comes with the last step would else drop it."""
    outcomes.append(await invocation.perform(thread.call))
