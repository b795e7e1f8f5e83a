"""Tickets of event streams, kept by digest so that the database never holds one that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raincheck.core.moments import milliseconds

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from datetime import datetime

    from raincheck.core.transitions import Change
    from raincheck.ports import Ticket


def issue(connection: sqlite3.Connection, ticket: Ticket, now: datetime) -> tuple[None, Sequence[Change]]:
    """Keep a ticket, and forget those that have run out."""
    connection.execute("DELETE FROM tickets WHERE until <= ?", (milliseconds(now),))
    connection.execute(
        "INSERT INTO tickets (digest, operation, owner, used, until) VALUES (?, ?, ?, 0, ?)",
        (ticket.digest, ticket.operation, ticket.owner, milliseconds(ticket.until)),
    )
    return None, ()


def use(
    connection: sqlite3.Connection,
    digest: str,
    *,
    resuming: bool,
    now: datetime,
    until: datetime,
) -> tuple[tuple[str, str] | None, Sequence[Change]]:
    """Use a ticket and set how long it may be used again; return its operation and owner."""
    row = connection.execute(
        "UPDATE tickets SET used = 1, until = ? WHERE digest = ? AND until > ? AND (used = 0 OR ?) "
        "RETURNING operation, owner",
        (milliseconds(until), digest, milliseconds(now), resuming),
    ).fetchone()
    return (None if row is None else (row[0], row[1])), ()


def end_use(
    connection: sqlite3.Connection,
    digest: str,
    *,
    given: datetime,
    until: datetime,
) -> tuple[None, Sequence[Change]]:
    """Set the end of a ticket that nobody has used since."""
    connection.execute(
        "UPDATE tickets SET until = ? WHERE digest = ? AND until = ?",
        (milliseconds(until), digest, milliseconds(given)),
    )
    return None, ()
