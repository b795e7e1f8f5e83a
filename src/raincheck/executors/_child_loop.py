"""The child's main thread: an event loop for async code, and sync code outside of it, both open to SIGTERM."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections import deque
from typing import TYPE_CHECKING, Any

from raincheck.context import OperationContext
from raincheck.core.errors import OperationCancelled
from raincheck.core.outcome import Interrupted
from raincheck.executors._threads import carriable

if TYPE_CHECKING:
    from collections.abc import Callable

    from raincheck.core.outcome import Outcome
    from raincheck.invocation import Invocation


class ChildLoop:
    """Runs one invocation in the main thread.

    Sync functions run while the loop stands still and no loop is set, so they may use ``asyncio.run`` as they may in
    a thread, and a signal interrupts them wherever they are. SIGTERM raises ``OperationCancelled`` in running code
    and cancels code that awaits, so an async function may meet either. It is delivered once, which lets clean-up end.
    """

    def __init__(self) -> None:
        self.context = OperationContext()
        self.asked = False
        self._delivered = False
        self._finished = False
        self._held = False
        self._in_call = False
        self._loop = asyncio.SelectorEventLoop()
        self._task: asyncio.Task[Outcome] | None = None
        self._calls: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()

    def run(self, invocation: Invocation) -> Outcome:
        """Perform the invocation and return its outcome."""
        task = self._task = self._loop.create_task(invocation.perform(self.call))
        task.add_done_callback(lambda _: self._loop.stop())
        if self.asked:
            self._cancel_task()
        try:
            while not task.done():
                self._loop.run_forever()
                while self._calls:
                    self._call_next()
            return task.result()
        except (OperationCancelled, asyncio.CancelledError):
            return Interrupted()

    async def call(self, function: Callable[..., Any], /, *args: Any, **keywords: Any) -> Any:
        """Call a sync function in the main thread, outside the loop."""
        future: asyncio.Future[Any] = self._loop.create_future()
        work = functools.partial(contextvars.copy_context().run, function, *args, **keywords)
        self._calls.append((work, future))
        self._loop.stop()
        return await future

    def _call_next(self) -> None:
        work, future = self._calls.popleft()
        if future.done():  # who wanted it was cancelled
            return
        try:
            self._in_call = True
            if self.asked:
                self._deliver()
            value = work()
            self._in_call = False
        except BaseException as error:  # noqa: BLE001 - all that a function raises goes to who awaits it
            self._in_call = False
            future.set_exception(carriable(error))
        else:
            future.set_result(value)

    def on_terminate(self, _signum: int, _frame: object) -> None:
        """Handle SIGTERM."""
        self.context.request_cancel()
        self.asked = True
        if not self._held:
            self._deliver()

    def hold(self) -> None:
        """Let no interruption in, so that a frame is sent whole; for the main thread only."""
        self._held = True

    def let_go(self) -> None:
        """Let interruptions in again, first the one that came meanwhile."""
        self._held = False
        if self.asked:
            self._deliver()

    def finish(self) -> None:
        """Let no interruption in any more: the function has ended."""
        self._finished = True

    def _deliver(self) -> None:
        if self._delivered or self._finished or self._task is None or self._task.done():
            return
        if self._in_call or asyncio.current_task(self._loop) is self._task:
            self._delivered = True
            raise OperationCancelled
        self._loop.call_soon_threadsafe(self._cancel_task)

    def _cancel_task(self) -> None:
        if not self._delivered and self._task is not None:
            self._delivered = True
            self._task.cancel()
