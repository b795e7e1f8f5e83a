"""The child's recorder: sends what the run tells to the executor."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from typing import TYPE_CHECKING

from raincheck.executors._frames import FrameType, frame
from raincheck.executors._wire import encode_log, encode_output, encode_progress

if TYPE_CHECKING:
    import socket

    from raincheck.core.events import LogLine, Output
    from raincheck.core.operation import Progress
    from raincheck.executors._child_loop import ChildLoop

PROGRESS_PERIOD = 0.05


class ChildRecorder:
    """Sends output and log lines at once and progress at most twenty times a second.

    Sending waits while the executor does not read, and the executor does not read while the store is behind: so
    ``emit`` waits as well and nothing piles up.
    """

    def __init__(self, sock: socket.socket, loop: ChildLoop) -> None:
        self._sock = sock
        self._loop = loop
        self._main = threading.get_ident()
        self._sending = threading.Lock()
        self._unsent: Progress | None = None
        self._sent_at = 0.0
        self._late = threading.Event()
        self._has_flusher = False
        self._drains: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = {}
        self._numbers = itertools.count(1)

    def progress(self, progress: Progress) -> None:
        """Send a progress now if the last one is old enough, else keep it for the flusher, which takes the newest."""
        if time.monotonic() - self._sent_at >= PROGRESS_PERIOD:
            self._unsent = None
            self._sent_at = time.monotonic()
            self._send(encode_progress(progress))
            return
        self._unsent = progress
        if not self._late.is_set():
            self._late.set()
            if not self._has_flusher:
                self._has_flusher = True
                threading.Thread(target=self._flush_late_progress, name="raincheck-progress", daemon=True).start()

    def output(self, output: Output) -> None:
        """Send a chunk, waiting for room."""
        self._send(encode_output(output))

    def log(self, line: LogLine) -> None:
        """Send a log line, waiting for room."""
        self._send(encode_log(line))

    async def drain(self) -> None:
        """Wait until the executor says that all is written."""
        number = next(self._numbers)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._drains[number] = (loop, future)
        self._send(frame(FrameType.DRAIN, {"number": number}))
        await future

    def drained(self, number: int) -> None:
        """Wake who waits in ``drain``; called by the watching thread."""
        loop, future = self._drains.pop(number)
        with contextlib.suppress(RuntimeError):  # the loop was closed, so nobody waits
            loop.call_soon_threadsafe(_wake, future)

    def finish(self, outcome: bytes) -> None:
        """Send the newest progress and then the outcome, the last frame of all."""
        with self._sending:
            newest, self._unsent = self._unsent, None
            if newest is not None:
                self._sock.sendall(encode_progress(newest))
            self._sock.sendall(outcome)

    def _flush_late_progress(self) -> None:
        while True:
            self._late.wait()
            time.sleep(PROGRESS_PERIOD)
            self._late.clear()
            with self._sending:
                newest, self._unsent = self._unsent, None
                if newest is not None:
                    self._sent_at = time.monotonic()
                    self._sock.sendall(encode_progress(newest))

    def _send(self, data: bytes) -> None:
        if threading.get_ident() != self._main:
            with self._sending:
                self._sock.sendall(data)
            return
        self._loop.hold()
        try:
            with self._sending:
                self._sock.sendall(data)
        finally:
            self._loop.let_go()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
