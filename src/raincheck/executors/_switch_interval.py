"""A shorter GIL switch interval while threads run user code."""

from __future__ import annotations

import sys

BUSY_INTERVAL = 0.0005


class SwitchInterval:
    """Lowers ``sys.setswitchinterval`` while at least one thread runs, and restores it afterwards.

    A thread that waits for the GIL asks for it after the switch interval, and the event loop waits several times per
    request. With the default of 5 ms and four CPU-bound threads, one request in a hundred took 140 ms; with half a
    millisecond 28 ms, and the threads got 6 to 9 per cent less done. A shorter interval gave nothing beyond noise
    (``benchmarks/thread_ping.py``). The setting belongs to the process, so it is changed only while it is needed.
    """

    def __init__(self, seconds: float = BUSY_INTERVAL) -> None:
        self._seconds = seconds
        self._busy = 0
        self._former = 0.0
        self._lowered = 0.0

    def enter(self) -> None:
        """Note that a thread starts to run."""
        self._busy += 1
        if self._busy == 1:
            self._former = sys.getswitchinterval()
            sys.setswitchinterval(min(self._seconds, self._former))
            self._lowered = sys.getswitchinterval()

    def leave(self) -> None:
        """Note that a thread has ended; after the last one the former interval is back."""
        self._busy -= 1
        if self._busy == 0 and sys.getswitchinterval() == self._lowered:  # else someone else has set it since
            sys.setswitchinterval(self._former)
