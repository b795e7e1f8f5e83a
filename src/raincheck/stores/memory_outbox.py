"""The memory store's side of engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raincheck.core.dispatch_rules import first_moment, next_moment
from raincheck.core.operation import Status, changed

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from datetime import datetime

    from raincheck.core.dispatch_rules import Terms
    from raincheck.core.operation import Operation


class MemoryOutbox:
    """Implements Outbox behind the lock of the store that it is part of."""

    _lock: threading.Lock
    _operations: dict[str, Operation]

    def __init__(self) -> None:
        self._terms: Terms | None = None
        self._moments: dict[str, datetime | None] = {}

    def set_terms(self, terms: Terms | None) -> None:
        """Give what is queued from now on its moment."""
        self._terms = terms

    async def take_overdue(self, kinds: Sequence[str], *, now: datetime, limit: int = 500) -> list[Operation]:
        """Take what an engine must be told of, the longest overdue first."""
        if self._terms is None:
            return []
        with self._lock:
            waiting = {each.id: self._moments.get(each.id) for each in self._waiting() if each.kind in kinds}
            overdue = sorted((moment, each) for each, moment in waiting.items() if moment is not None and moment <= now)
            taken = [self._operations[each] for _, each in overdue[:limit]]
            for operation in taken:
                self._moments[operation.id] = next_moment(
                    run_at=operation.run_at, now=now, patience=self._terms.patience
                )
        return [changed(operation, input="{}") for operation in taken]

    async def adopt(self, *, now: datetime) -> int:
        """Give what was queued without a moment one."""
        with self._lock:
            without = [each.id for each in self._waiting() if self._moments.get(each.id) is None]
            self._moments.update(dict.fromkeys(without, now))
        return len(without)

    def _set_moment(self, operation: Operation) -> None:
        moment = first_moment(operation, self._terms)
        if moment is None:
            self._moments.pop(operation.id, None)
        else:
            self._moments[operation.id] = moment

    def _waiting(self) -> list[Operation]:
        return [each for each in self._operations.values() if each.status is Status.QUEUED]
