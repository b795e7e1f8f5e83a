"""What a run tells, on its way to the store: ordered, bounded, coalesced where the rules allow it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from raincheck.core.errors import LeaseLost, OutputOverflow, StorageFull, StoreUnavailable
from raincheck.core.events import Entry, LogLine, Output

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from raincheck.core.operation import Progress

_BOUND = 8 << 20
_PROGRESS_INTERVAL = 0.1
_LARGEST_WRITE = 1000
_PATIENCE = 0.25


class Journal:
    """Implements Recorder for one run. Writing belongs to the loop; recording to any thread.

    :param write: stores entries in order and then the progress; raises LeaseLost when the run holds nothing more.
    :param lost: called once when the store refused the run.
    """

    def __init__(
        self,
        *,
        write: Callable[[Sequence[Entry], Progress | None], Awaitable[None]],
        lost: Callable[[Exception], None],
    ) -> None:
        self._write = write
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._lock = threading.RLock()
        self._room: threading.Condition | None = None  # made for the first thread that has to wait
        self._entries: list[Entry] = []
        self._waiting_bytes = 0
        self._progress: Progress | None = None
        self._flush_asked = False
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._next_progress = 0.0
        self._progress_timer: asyncio.TimerHandle | None = None
        self.finished = False

    # --- recording, from any thread -----------------------------------------------------------------------------

    def progress(self, progress: Progress) -> None:
        """Keep the newest progress."""
        with self._lock:
            self._progress = progress
        if not self._flush_asked and self._progress_timer is None:
            self._ask_flush()

    def output(self, output: Output) -> None:
        """Queue a chunk; wait for room in other threads, refuse on the loop's own."""
        with self._lock:
            if not self._wait_for_room():
                msg = "more than 8 MiB of output wait to be written; call `await op.drain()` between emits"
                raise OutputOverflow(msg)
            self._add(output, len(output.chunk))

    def log(self, line: LogLine) -> None:
        """Queue a log line; wait for room in other threads. The loop's own is never refused a line."""
        with self._lock:
            self._wait_for_room()
            self._add(line, len(line.message))

    def _wait_for_room(self) -> bool:
        """Wait while too much is unwritten, in other threads than the loop's; return whether there is room."""
        if self._has_room() or threading.get_ident() == self._loop_thread:
            return self._has_room()
        if self._room is None:
            self._room = threading.Condition(self._lock)
        return self._room.wait_for(self._has_room)

    def _has_room(self) -> bool:
        return self._waiting_bytes <= _BOUND or self._closed

    async def drain(self) -> None:
        """Wait until everything queued so far is written."""
        while not self._closed:
            if self._task is not None:
                await asyncio.wait([self._task])
            elif self._entries:
                self._ask_flush()
                await asyncio.sleep(0)
            else:
                return

    def _add(self, entry: Entry, size: int) -> None:
        if self._closed:
            return
        self._entries.append(entry)
        self._waiting_bytes += size
        if not self._flush_asked:
            self._ask_flush()

    def _ask_flush(self) -> None:
        self._flush_asked = True
        if threading.get_ident() == self._loop_thread:
            self._loop.call_soon(self._start_flush)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._start_flush)

    # --- writing, on the loop -----------------------------------------------------------------------------------

    def _start_flush(self) -> None:
        if self._task is None and not self._closed and not self.finished:  # finish() writes the rest, and alone
            self._task = self._loop.create_task(self._flush(), name="raincheck-journal")
            self._task.add_done_callback(self._flushed)

    def _progress_due(self) -> None:
        self._progress_timer = None
        self._start_flush()

    async def _flush(self) -> None:
        while not self._closed:
            self._flush_asked = False
            entries, progress = self._take()
            if not entries and progress is None:
                break
            await self._write_patiently(entries, progress)

    def _flushed(self, _: asyncio.Task[None]) -> None:
        """Make way for the next flush, and see to what came since the last look.

        Not at the end of the task itself: tasks that start at once (``asyncio.eager_task_factory``) may have ended
        before they are known as the one under way, which they then would be for ever.
        """
        self._task = None
        self._flush_asked = False
        if self._closed:
            return
        if self._entries:
            self._ask_flush()
        elif self._progress is not None and self._progress_timer is None:
            self._progress_timer = self._loop.call_at(self._next_progress, self._progress_due)

    async def _write_patiently(self, entries: list[Entry], progress: Progress | None) -> None:
        while not self._closed:
            try:
                await self._write(entries, progress)
            except (StoreUnavailable, StorageFull):
                await asyncio.sleep(_PATIENCE)
            except LeaseLost as error:
                self.close()
                self._lost(error)
            except Exception as error:  # noqa: BLE001 - the run must learn of any refusal
                self.close()
                self._lost(error)
            else:
                break
        self._made_room(entries)

    def _take(self) -> tuple[list[Entry], Progress | None]:
        with self._lock:
            entries = self._entries[:_LARGEST_WRITE]
            del self._entries[: len(entries)]
            progress = None
            if self._progress is not None and not self._entries and self._loop.time() >= self._next_progress:
                progress, self._progress = self._progress, None
                self._next_progress = self._loop.time() + _PROGRESS_INTERVAL
        return entries, progress

    def _made_room(self, entries: Sequence[Entry]) -> None:
        with self._lock:
            for entry in entries:
                self._waiting_bytes -= len(entry.chunk) if isinstance(entry, Output) else len(entry.message)
            if self._room is not None:
                self._room.notify_all()

    async def finish(self) -> tuple[list[Entry], Progress | None]:
        """Wait for the write in flight and return what is left, to be written with the outcome."""
        self.finished = True
        while self._task is not None:
            await asyncio.wait([self._task])
        while len(self._entries) > _LARGEST_WRITE and not self._closed:
            entries, _ = self._take()
            await self._write_patiently(entries, None)
        with self._lock:
            rest = self._entries, self._progress
            self._entries, self._progress = [], None
            self.close()
        return rest

    def close(self) -> None:
        """Take nothing more and let nobody wait."""
        with self._lock:
            self._closed = True
            if self._room is not None:
                self._room.notify_all()
