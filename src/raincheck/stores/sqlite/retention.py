"""Deleting and expiring: a record goes, a tombstone stays for a week."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from raincheck.core.moments import milliseconds
from raincheck.stores.sqlite import deliveries
from raincheck.stores.sqlite.rows import LIGHT_COLUMNS, operation_from

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from raincheck.core.operation import Operation
    from raincheck.core.transitions import Change
    from raincheck.stores.sqlite.page import Page

_TOMBSTONE_AGE = timedelta(days=7)
_GET = f"SELECT {LIGHT_COLUMNS} FROM operations WHERE id = ?"  # noqa: S608 - constant columns
_BURY = (
    "INSERT OR REPLACE INTO tombstones (id, owner, kind, reason, idempotency_key, until) "
    "SELECT id, owner, kind, ?, idempotency_key, ? FROM operations WHERE id = ?"
)


def delete(
    page: Page,
    operation_id: str,
    check: Callable[[Operation], None],
    now: datetime,
) -> tuple[None, Sequence[Change]]:
    """Bury one operation that passes the check."""
    row = page.connection.execute(_GET, (operation_id,)).fetchone()
    if row is None:
        raise KeyError(operation_id)
    check(operation_from(row))
    _bury(page.connection, operation_id, "deleted", now)
    page.forget([operation_id])
    return None, ()


def prune(page: Page, now: datetime, limit: int) -> tuple[list[str], Sequence[Change]]:
    """Bury what has expired and forget old tombstones."""
    connection = page.connection
    moment = milliseconds(now)
    expired = connection.execute(
        "SELECT id FROM operations WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?",
        (moment, limit),
    ).fetchall()
    for (operation_id,) in expired:
        _bury(connection, operation_id, "expired", now)
    connection.execute(
        "DELETE FROM tombstones WHERE id IN (SELECT id FROM tombstones WHERE until <= ? LIMIT ?)",
        (moment, limit),
    )
    deliveries.forget_endpoints(connection, now)
    return [operation_id for (operation_id,) in expired], ()


def _bury(connection: sqlite3.Connection, operation_id: str, reason: str, now: datetime) -> None:
    connection.execute(_BURY, (reason, milliseconds(now + _TOMBSTONE_AGE), operation_id))
    connection.execute("DELETE FROM events WHERE operation = ?", (operation_id,))
    deliveries.bury(connection, operation_id)
    connection.execute("DELETE FROM operations WHERE id = ?", (operation_id,))
