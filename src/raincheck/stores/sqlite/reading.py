"""Queries of the SQLite store that change nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from raincheck.core.events import history
from raincheck.core.moments import EPOCH, milliseconds
from raincheck.core.names import first_id_at
from raincheck.core.operation import Status
from raincheck.ports import Lease, Overdue, Tombstone
from raincheck.stores.sqlite.queries import statement
from raincheck.stores.sqlite.rows import FULL_COLUMNS, LIGHT_COLUMNS, event_from, operation_from

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from raincheck.core.events import Event
    from raincheck.core.operation import Operation
    from raincheck.ports import ListQuery

_FURTHEST_POSITION = 1000
_LONGEST_UPLOAD = timedelta(hours=1)
"""An id is made before the request's files are stored, so it may be older than ``created_at``, never newer."""
_POSITION = statement("queue_position")
_GET = f"SELECT {FULL_COLUMNS} FROM operations WHERE id = ?"  # noqa: S608 - constant columns
_HELD = "SELECT worker, id, run FROM operations WHERE status IN ('running', 'cancelling')"
_EXPIRED = f"{_HELD} AND lease_until <= ? ORDER BY lease_until LIMIT ?"
_DEADLINES = (
    "SELECT id FROM operations WHERE deadline_at IS NOT NULL AND status IN ('queued', 'running') "
    "AND deadline_at <= ? ORDER BY deadline_at LIMIT ?"
)
# Each branch has an index of its own: what waits, what is held, what has finished lately.
_CHANGED_IN = f"SELECT {LIGHT_COLUMNS} FROM operations WHERE owner = :owner AND updated_at >= :since"  # noqa: S608
_CHANGED = " UNION ALL ".join(
    [
        f"{_CHANGED_IN} AND status = 'queued'",
        f"{_CHANGED_IN} AND status IN ('running', 'cancelling')",
        f"{_CHANGED_IN} AND finished_at IS NOT NULL AND finished_at >= :since",
    ],
)
_EVENTS = (
    "SELECT operation, version, run, type, time, data FROM events WHERE operation = ? AND version > ? "
    "ORDER BY version LIMIT ?"
)


def get(connection: sqlite3.Connection, operation_id: str) -> Operation | Tombstone | None:
    """Return the record, its tombstone, or None."""
    row = connection.execute(_GET, (operation_id,)).fetchone()
    if row is not None:
        return operation_from(row)
    buried = connection.execute("SELECT id, owner, reason FROM tombstones WHERE id = ?", (operation_id,)).fetchone()
    return None if buried is None else Tombstone(*buried)


def known(connection: sqlite3.Connection, operation_ids: Sequence[str]) -> set[str]:
    """Return those of the ids that have a record."""
    query = "SELECT id FROM operations WHERE id IN (SELECT value FROM json_each(?))"
    return {row[0] for row in connection.execute(query, (json.dumps(list(operation_ids)),))}


def cancelling(connection: sqlite3.Connection, worker: str) -> list[Lease]:
    """Return the worker's runs that were asked to cancel."""
    # Both conditions: SQLite takes an index of "status IN (…)" only where the query says the very same.
    query = (
        "SELECT id, run FROM operations "
        "WHERE worker = ? AND status IN ('running', 'cancelling') AND status = 'cancelling'"
    )
    return [Lease(*row) for row in connection.execute(query, (worker,))]


def overdue(connection: sqlite3.Connection, now: datetime, limit: int) -> Overdue:
    """Return what the reaper must look at."""
    moment = milliseconds(now)
    expired = tuple(Lease(row[1], row[2]) for row in connection.execute(_EXPIRED, (moment, limit)))
    deadlines = tuple(row[0] for row in connection.execute(_DEADLINES, (moment, limit)))
    holders: dict[str, list[Lease]] = {}
    for worker, operation_id, run in connection.execute(_HELD):
        holders.setdefault(worker, []).append(Lease(operation_id, run))
    return Overdue(expired, deadlines, {worker: tuple(leases) for worker, leases in holders.items()})


def list_page(connection: sqlite3.Connection, query: ListQuery) -> list[Operation]:
    """Return a page, newest first, without inputs and result bytes."""
    conditions: list[str] = []
    values: list[Any] = []
    small = False

    def require(condition: str, *found: object) -> None:
        conditions.append(condition)
        values.extend(found)

    if query.owner is not None:
        require("owner = ? AND owner <> ''" if query.owner else "owner = ?", query.owner)
    if query.statuses:
        small = _require_small_index(set(query.statuses), require)
        require("status IN (SELECT value FROM json_each(?))", json.dumps(query.statuses))
    if query.kind is not None:
        require("kind = ?", query.kind)
    for name, value in query.tags.items():
        require("EXISTS (SELECT 1 FROM json_each(metadata) AS tag WHERE tag.key = ? AND tag.value = ?)", name, value)
    if query.created_after is not None:
        earliest = first_id_at(max(query.created_after, EPOCH + _LONGEST_UPLOAD) - _LONGEST_UPLOAD)
        require("id >= ? AND created_at >= ?", earliest, milliseconds(query.created_after))
    if query.created_before is not None:
        latest = first_id_at(query.created_before)
        require("id < ? AND created_at < ?", latest, milliseconds(query.created_before))
    if query.before_id is not None:
        require("id < ?", query.before_id)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    # "+id" keeps SQLite from reading all ids in order, which looks cheaper to it than to sort the few of that index.
    order = "+id" if small else "id"
    text = f"SELECT {LIGHT_COLUMNS} FROM operations {where} ORDER BY {order} DESC LIMIT ?"  # noqa: S608 - constants only
    return [operation_from(row) for row in connection.execute(text, (*values, query.limit))]


def _require_small_index(statuses: set[Status], require: Callable[[str], None]) -> bool:
    """Say in the words of a partial index that only unfinished operations are wanted; False if others are too."""
    if statuses == {Status.QUEUED}:
        require("status = 'queued'")
    elif statuses <= {Status.RUNNING, Status.CANCELLING}:
        require("status IN ('running', 'cancelling')")
    else:
        return False
    return True


def queue_position(connection: sqlite3.Connection, operation: Operation) -> int | None:
    """Return how many queued operations go first; None above 1,000."""
    parameters = {
        "priority": operation.priority,
        "run_at": milliseconds(operation.run_at),
        "id": operation.id,
        "limit": _FURTHEST_POSITION + 1,
    }
    ahead = int(connection.execute(_POSITION, parameters).fetchone()[0])
    return None if ahead > _FURTHEST_POSITION else ahead


def queue_depth(connection: sqlite3.Connection, limit: int) -> int:
    """Count the queued operations, up to the limit."""
    query = "SELECT count(*) FROM (SELECT 1 FROM operations WHERE status = 'queued' LIMIT ?)"
    return int(connection.execute(query, (limit,)).fetchone()[0])


def versions(connection: sqlite3.Connection, operation_ids: Sequence[str]) -> dict[str, int]:
    """Return the versions of those of the operations that exist."""
    query = "SELECT id, version FROM operations WHERE id IN (SELECT value FROM json_each(?))"
    return dict(connection.execute(query, (json.dumps(list(operation_ids)),)).fetchall())


def changed_since(
    connection: sqlite3.Connection,
    owner: str,
    moment: datetime,
    limit: int,
) -> list[Operation]:
    """Return an owner's operations that changed since a moment, oldest change first."""
    since = milliseconds(moment)
    rows = connection.execute(f"{_CHANGED} ORDER BY 14 LIMIT :limit", {"owner": owner, "since": since, "limit": limit})
    return [operation_from(row) for row in rows]


def events_after(
    connection: sqlite3.Connection,
    cursors: Mapping[str, int],
    limit: int,
) -> dict[str, tuple[Operation, list[Event]]]:
    """Return records and events above the cursors, all seen at one moment.

    A log longer than the limit is cut at a row; the caller asks again from there.
    """
    found: dict[str, tuple[Operation, list[Event]]] = {}
    connection.execute("BEGIN")
    try:
        for operation_id, after in cursors.items():
            row = connection.execute(_GET, (operation_id,)).fetchone()
            if row is None:
                continue
            operation = operation_from(row)
            rows = [event_from(event) for event in connection.execute(_EVENTS, (operation_id, after, limit))]
            events = history(operation, rows, after=after)
            if len(rows) == limit:
                events = [event for event in events if event.version <= rows[-1].version]
            found[operation_id] = (operation, events)
    finally:
        connection.execute("COMMIT")
    return found
