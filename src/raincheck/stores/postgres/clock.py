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
_TRUSTED_TRIP = 1.0


class DatabaseClock:
    """Tells the database's time without asking it each time; wrong by half a round trip at most, after each look."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._seen: datetime | None = None
        self._seen_at = 0.0

    def now(self) -> datetime:
        """Return the database's time."""
        if self._seen is None:
            msg = "The database's clock was not looked at yet: open the store first."
            raise RuntimeError(msg)
        return self._seen + timedelta(seconds=self._monotonic() - self._seen_at)

    async def look(self, connection: Any) -> None:
        """Ask the database. A slow answer counts only while there is no better one."""
        asked = self._monotonic()
        moment = await connection.fetchval(_LOOK)
        answered = self._monotonic()
        if self._seen is None or answered - asked <= _TRUSTED_TRIP:
            self._seen, self._seen_at = moment, (asked + answered) / 2
