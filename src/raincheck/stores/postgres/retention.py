"""Deleting and expiring: a record goes, a tombstone stays for a week."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from raincheck.core.moments import milliseconds
from raincheck.stores.postgres.queries import statement
from raincheck.stores.postgres.rows import LIGHT_COLUMNS, operation_from

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from raincheck.core.operation import Operation

_TOMBSTONE_AGE = timedelta(days=7)


async def delete(
    connection: Any,
    schema: str,
    operation_id: str,
    check: Callable[[Operation], None],
    now: datetime,
) -> None:
    """Bury one operation that passes the check; an unknown id raises KeyError."""
    select = f"SELECT {LIGHT_COLUMNS} FROM {schema}.operations WHERE id = $1 FOR UPDATE"
    row = await connection.fetchrow(select, operation_id)
    if row is None:
        raise KeyError(operation_id)
    check(operation_from(row))
    await connection.execute(
        statement("bury", schema=schema), operation_id, "deleted", milliseconds(now + _TOMBSTONE_AGE)
    )


async def prune(connection: Any, schema: str, now: datetime, limit: int) -> list[str]:
    """Bury what has expired and forget old tombstones, with the keys that they kept."""
    moment, until = milliseconds(now), milliseconds(now + _TOMBSTONE_AGE)
    gone = await connection.fetch(statement("prune_operations", schema=schema), moment, limit, until)
    await connection.execute(statement("prune_tombstones", schema=schema), moment, limit)
    return [row[0] for row in gone]
