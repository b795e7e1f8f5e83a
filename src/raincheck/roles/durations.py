"""How long operations of a kind usually take, for the advice to pollers.

Learned from every finished operation that passes through this process, so it costs no query.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raincheck.core.operation import Operation
    from raincheck.core.transitions import Change

_WEIGHT = 0.2
_SHORTEST = timedelta(milliseconds=200)
_LONGEST = timedelta(seconds=30)
_UNKNOWN = timedelta(seconds=1)
_REMEMBERED = 2000


class Durations:
    """A moving average of seconds from start to end, for each kind."""

    def __init__(self) -> None:
        self._typical: dict[str, float] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()

    def committed(self, changes: Sequence[Change]) -> None:
        """Learn from what this process finished."""
        for change in changes:
            if change.operation.finished_at is not None:
                self.observe(change.operation)

    def observe(self, operation: Operation) -> None:
        """Learn from a finished operation, once."""
        if operation.finished_at is None or operation.started_at is None or operation.id in self._seen:
            return
        self._seen[operation.id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        took = max(0.0, (operation.finished_at - operation.started_at).total_seconds())
        former = self._typical.get(operation.kind)
        self._typical[operation.kind] = took if former is None else former + _WEIGHT * (took - former)

    def poll_after(self, operation: Operation, *, clock: Callable[[], datetime]) -> timedelta:
        """Return when to ask again: soon while the end is near, later while it is far or overdue."""
        typical = self._typical.get(operation.kind)
        if typical is None and operation.scheduled_for is None:
            return _UNKNOWN
        now = clock()
        if operation.scheduled_for is not None and operation.scheduled_for > now:
            return min(_LONGEST, max(_SHORTEST, operation.scheduled_for - now))
        if typical is None:
            return _UNKNOWN
        began = operation.started_at or now
        passed = max(0.0, (now - began).total_seconds())
        left = typical - passed
        advice = left if left > 0 else passed / 4
        return min(_LONGEST, max(_SHORTEST, timedelta(seconds=advice)))
