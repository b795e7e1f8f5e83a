"""Daemon threads for the sync pieces of runs: one thread per run, idle threads are kept.

``ThreadPoolExecutor`` is not used because the interpreter waits for its threads at exit, so that one endless function
would block every restart; and because it gives the pieces of one run to different threads, which breaks what belongs
to a thread, such as a ``sqlite3`` connection that a dependency opens and the function uses.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import itertools
import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Threads:
    """Lends threads to runs, newest idle thread first, and starts another when none is idle."""

    def __init__(self, name: str) -> None:
        self.stopped = False
        self._name = name
        self._numbers = itertools.count(1)
        self._idle: list[_Thread] = []

    def for_one_run(self) -> RunThread:
        """Return the sync side of one run; no thread is taken before its first call."""
        return RunThread(self)

    def stop(self) -> None:
        """End the idle threads; a busy one ends after what it does now, and nobody waits for it any more."""
        self.stopped = True
        while self._idle:
            self._idle.pop().end()

    def take(self) -> _Thread:
        """Return an idle or new thread."""
        if self._idle:
            return self._idle.pop()
        return _Thread(f"raincheck-{self._name}-{next(self._numbers)}")

    def give_back(self, thread: _Thread) -> None:
        """Keep a thread for the next run."""
        if self.stopped:
            thread.end()
        else:
            self._idle.append(thread)


class RunThread:
    """The one thread on which all sync pieces of a run happen."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._thread: _Thread | None = None

    def take(self) -> None:
        """Have the thread before the first call.

        :raises RuntimeError: this machine has none left.
        """
        if self._thread is None:
            self._thread = self._threads.take()

    async def call(self, function: Callable[..., Any], /, *args: Any, **keywords: Any) -> Any:
        """Call a function on the run's thread with the caller's context variables.

        A thread cannot be stopped, so a cancellation waits for the function, whose value is still returned (it may be
        a resource that needs its clean-up), and then shows at the next await. Only after ``Threads.stop`` is the
        function abandoned, so that it cannot hold up the shutdown.
        """
        self.take()
        assert self._thread is not None
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        work = functools.partial(contextvars.copy_context().run, function, *args, **keywords)
        self._thread.post(_Piece(work, loop, future))
        cancelled = False
        while not future.done():
            try:
                await asyncio.wait((future,))
            except asyncio.CancelledError:
                if self._threads.stopped:
                    raise
                cancelled = True
        if cancelled:
            _cancel_later()
        return future.result()

    def release(self) -> None:
        """Give the thread back at the end of the run."""
        if self._thread is not None:
            self._threads.give_back(self._thread)
            self._thread = None


def _cancel_later() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
        task.cancel()


def carriable(error: BaseException) -> BaseException:
    """Return an error that a future can carry, which is any but StopIteration."""
    if not isinstance(error, StopIteration):
        return error
    stopped = RuntimeError("the function raised StopIteration")
    stopped.__cause__ = error
    return stopped


@dataclass(slots=True, eq=False)
class _Piece:
    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]

    def run(self) -> None:
        try:
            value = self.work()
        except BaseException as error:  # noqa: BLE001 - all that a function raises goes to who awaits it
            self._settle(self._fail, carriable(error))
        else:
            self._settle(self._succeed, value)

    def _settle(self, how: Callable[[Any], None], what: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed, so nobody waits
            self.loop.call_soon_threadsafe(how, what)

    def _succeed(self, value: object) -> None:
        if not self.future.done():
            self.future.set_result(value)

    def _fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Thread:
    def __init__(self, name: str) -> None:
        self._pieces: SimpleQueue[_Piece | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def post(self, piece: _Piece) -> None:
        self._pieces.put(piece)

    def end(self) -> None:
        self._pieces.put(None)

    def _work(self) -> None:
        while (piece := self._pieces.get()) is not None:
            piece.run()
            del piece  # an idle thread must not keep the last run's arguments alive
