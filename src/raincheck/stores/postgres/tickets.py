"""Tickets of event streams, kept by digest so that the database never holds one that works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raincheck.core.moments import milliseconds
from raincheck.stores.postgres.rows import original, storable

if TYPE_CHECKING:
    from datetime import datetime

    from raincheck.ports import Ticket


async def issue(connection: Any, schema: str, ticket: Ticket, now: datetime) -> None:
    """Keep a ticket, and forget those that have run out."""
    await connection.execute(f"DELETE FROM {schema}.tickets WHERE until <= $1", milliseconds(now))
    await connection.execute(
        f"INSERT INTO {schema}.tickets (digest, operation, owner, used, until) VALUES ($1, $2, $3, false, $4)",
        storable(ticket.digest),
        ticket.operation,
        storable(ticket.owner),
        milliseconds(ticket.until),
    )


async def use(
    connection: Any,
    schema: str,
    digest: str,
    *,
    resuming: bool,
    now: datetime,
    until: datetime,
) -> tuple[str, str] | None:
    """Use a ticket and set how long it may be used again; return its operation and owner."""
    row = await connection.fetchrow(
        f"UPDATE {schema}.tickets SET used = true, until = $1 WHERE digest = $2 AND until > $3 AND (NOT used OR $4) "
        "RETURNING operation, owner",
        milliseconds(until),
        storable(digest),
        milliseconds(now),
        resuming,
    )
    return None if row is None else (row[0], original(row[1]))


async def end_use(connection: Any, schema: str, digest: str, *, given: datetime, until: datetime) -> None:
    """Set the end of a ticket that nobody has used since."""
    await connection.execute(
        f"UPDATE {schema}.tickets SET until = $1 WHERE digest = $2 AND until = $3",
        milliseconds(until),
        storable(digest),
        milliseconds(given),
    )
