"""How long a caller is willing to wait, on the monotonic clock."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from raincheck.core.quantities import duration

if TYPE_CHECKING:
    from datetime import timedelta


class Deadline:
    """A moment after which a caller waits no longer.

    :param wait: from now; seconds, a text such as ``"5m"``, a timedelta, or None for no limit.
    """

    def __init__(self, wait: timedelta | float | str | None) -> None:
        if wait is None or wait == math.inf:
            self._at = math.inf
        else:
            self._at = time.monotonic() + duration(wait).total_seconds()

    @property
    def remaining(self) -> float:
        """Seconds left; infinite without a limit, never negative."""
        return max(0.0, self._at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.remaining == 0.0
