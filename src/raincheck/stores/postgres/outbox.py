"""The PostgreSQL store's side of engines: which queued operations they must be told of."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from raincheck.core.dispatch_rules import Terms, dispatched_at_once
from raincheck.core.moments import milliseconds
from raincheck.core.operation import Operation, Status
from raincheck.stores.postgres.queries import statement
from raincheck.stores.postgres.rows import LIGHT_COLUMNS, operation_from, storable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from raincheck.core.transitions import Change
    from raincheck.stores.postgres.pool import Pool

    Enlist = Callable[[Any, Sequence[Operation]], Awaitable[None]]

_ADOPTED_AT_ONCE = 1000
_MILLISECOND = timedelta(milliseconds=1)


class PostgresOutbox:
    """Implements Outbox for the store that brings the connections."""

    pool: Pool

    def __init__(self, *, schema: str) -> None:
        self.terms: Terms | None = None
        self.enlist: Enlist | None = None
        self._overdue = statement("take_overdue_dispatches", schema=schema, columns=LIGHT_COLUMNS)
        self._adopt = statement("adopt_dispatches", schema=schema)

    def set_terms(self, terms: Terms | None, *, enlist: Enlist | None = None) -> None:
        """Write what is queued from now on for an engine with these terms.

        :param enlist: tells the engine within the transaction that queues; it is only told what it may be told now.
        """
        self.terms = terms
        self.enlist = enlist

    async def take_overdue(self, kinds: Sequence[str], *, now: datetime, limit: int = 500) -> list[Operation]:
        """Take what an engine must be told of."""
        if self.terms is None:
            return []
        moment, patience = milliseconds(now), self.terms.patience // _MILLISECOND
        names = [storable(kind) for kind in kinds]
        rows = await self.pool.write(lambda connection: connection.fetch(self._overdue, moment, names, patience, limit))
        return [operation_from(row) for row in rows]

    async def adopt(self, *, now: datetime) -> int:
        """Give what was queued without a moment one."""
        moment = milliseconds(now)
        rows = await self.pool.write(lambda connection: connection.fetch(self._adopt, moment, _ADOPTED_AT_ONCE))
        return len(rows)

    def to_enlist(self, changes: Sequence[Change]) -> list[Operation]:
        """Return of some changes what the engine is to be told within their transaction: each operation once."""
        if self.enlist is None or self.terms is None:
            return []
        last = {change.operation.id: change.operation for change in changes}
        return [
            operation
            for operation in last.values()
            if operation.status is Status.QUEUED and dispatched_at_once(operation, self.terms)
        ]
