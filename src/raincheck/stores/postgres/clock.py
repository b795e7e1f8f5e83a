"""One clock for all machines: the database's, carried on by this machine between looks.

Leases, due moments and deadlines are judged by whoever looks, so all must judge by the same time. A machine whose
clock is wrong by an hour would else take over work that is well.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK = "SELECT clock_timestamp()"
_LOOKS = 5
_DRIFT = timedelta(milliseconds=100)
"""Clocks that agree are no farther apart than this, round trips aside."""
_AGE = 60.0
"""Two machines' clocks drift apart by a few milliseconds in this time, in seconds."""


class DatabaseClock:
    """Tells the database's time without asking it each time; wrong by half a round trip at most, after each look."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._seen: datetime | None = None
        self._seen_at = 0.0
        self._trip = float("inf")

    def now(self) -> datetime:
        """Return the database's time."""
        if self._seen is None:
            msg = "The database's clock was not looked at yet: open the store first."
            raise RuntimeError(msg)
        return self._seen + timedelta(seconds=self._monotonic() - self._seen_at)

    async def look(self, connection: Any) -> None:
        """Ask the database. The answer that came soonest counts, until it is a minute old or cannot be true any more.

        That is so when this machine slept, in which time its clock stood still, and when the server's clock was set.
        """
        for _ in range(_LOOKS):
            asked = self._monotonic()
            moment = await connection.fetchval(_LOOK)
            answered = self._monotonic()
            trip = answered - asked
            if trip < self._trip or answered - self._seen_at > _AGE or self._is_wrong(moment, asked, answered):
                self._seen, self._seen_at, self._trip = moment, (asked + answered) / 2, trip

    def _is_wrong(self, moment: datetime, asked: float, answered: float) -> bool:
        """Tell whether what this clock says lies farther from an answer than both round trips allow."""
        if self._seen is None:
            return True
        expected = self._seen + timedelta(seconds=(asked + answered) / 2 - self._seen_at)
        return abs(moment - expected) > timedelta(seconds=(answered - asked + self._trip) / 2) + _DRIFT
