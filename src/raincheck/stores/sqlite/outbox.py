"""The SQLite store's side of engines: which queued operations they must be told of."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from raincheck.core.moments import milliseconds
from raincheck.stores.sqlite.page import json_rows
from raincheck.stores.sqlite.queries import statement
from raincheck.stores.sqlite.rows import LIGHT_COLUMNS, operation_from
from raincheck.stores.sqlite.units import Work

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from raincheck.core.dispatch_rules import Terms
    from raincheck.core.operation import Operation
    from raincheck.stores.sqlite.page import Page
    from raincheck.stores.sqlite.units import Unit

T = TypeVar("T")
_OVERDUE = statement("overdue_dispatches").replace("{columns}", LIGHT_COLUMNS)
_MOVE = statement("move_dispatches")
_ADOPT = statement("adopt_dispatches")
_ANY_OVERDUE = (
    "SELECT EXISTS (SELECT 1 FROM operations WHERE status = 'queued' AND dispatch_at IS NOT NULL AND dispatch_at <= ?)"
)
_ANY_WITHOUT = "SELECT EXISTS (SELECT 1 FROM operations WHERE status = 'queued' AND dispatch_at IS NULL)"
_ADOPTED_AT_ONCE = 1000
_MILLISECOND = timedelta(milliseconds=1)


class SqliteOutbox(ABC):
    """Implements Outbox for the store that brings the reader and the writer."""

    _terms: Terms | None = None

    @abstractmethod
    async def _write(self, unit: Unit) -> Any: ...

    @abstractmethod
    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T: ...

    def set_terms(self, terms: Terms | None) -> None:
        """Write what is queued from now on for an engine with these terms."""
        self._terms = terms

    async def take_overdue(self, kinds: Sequence[str], *, now: datetime, limit: int = 500) -> list[Operation]:
        """Take what an engine must be told of; a look that finds none takes no write lock."""
        if self._terms is None or not await self._any(_ANY_OVERDUE, milliseconds(now)):
            return []
        values = {
            "now": milliseconds(now),
            "kinds": json.dumps(list(kinds)),
            "limit": limit,
            "patience": self._terms.patience // _MILLISECOND,
        }
        taken: list[Operation] = await self._write(Work(apply=lambda page: (_take(page, values), ())))
        return taken

    async def adopt(self, *, now: datetime) -> int:
        """Give what was queued without a moment one."""
        if not await self._any(_ANY_WITHOUT):
            return 0
        values = {"now": milliseconds(now), "limit": _ADOPTED_AT_ONCE}
        adopted: int = await self._write(
            Work(apply=lambda page: (page.connection.execute(_ADOPT, values).rowcount, ()))
        )
        return adopted

    async def _any(self, query: str, *values: int) -> bool:
        return bool(await self._read(lambda connection: connection.execute(query, values).fetchone()[0]))


def _take(page: Page, values: dict[str, Any]) -> list[Operation]:
    taken = [operation_from(row) for row in json_rows(page.connection, _OVERDUE, values)]
    ids = json.dumps([operation.id for operation in taken])
    page.connection.execute(_MOVE, {"now": values["now"], "patience": values["patience"], "ids": ids})
    return taken
