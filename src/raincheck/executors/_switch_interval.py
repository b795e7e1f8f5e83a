"""A shorter GIL switch interval while threads run user code."""

from __future__ import annotations

import sys

BUSY_INTERVAL = 0.0005


class SwitchInterval:
    """Lowers ``sys.setswitchinterval`` while at least one thread runs, and restores it afterwards.

    A thread that waits for the GIL asks for it after the switch interval. The event loop waits for it several times
    per request, so with the default of 5 ms and two CPU-bound threads every request takes tens of milliseconds, up to
    a second and more at the 99th percentile. Half a millisecond brings that to about 20 ms and costs the busy threads
    a few per cent. The setting belongs to the process, so it is changed only while it is needed.
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
