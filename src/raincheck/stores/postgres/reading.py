"""Queries of the PostgreSQL store that change nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from raincheck.core.events import history
from raincheck.core.moments import EPOCH, milliseconds
from raincheck.core.names import first_id_at
from raincheck.ports import Lease, Overdue, Tombstone
from raincheck.stores.postgres.queries import statement
from raincheck.stores.postgres.rows import (
    FULL_COLUMNS,
    LIGHT_COLUMNS,
    event_from,
    operation_from,
    original,
    storable,
    tags,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from raincheck.core.events import Event
    from raincheck.core.operation import Operation
    from raincheck.ports import ListQuery

_FURTHEST_POSITION = 1000
_LONGEST_UPLOAD = timedelta(hours=1)
"""An id is made before the request's files are stored, so it may be older than ``created_at``, never newer."""


class Queries:
    """The statements for one schema; each method runs on the connection that it is given."""

    def __init__(self, schema: str) -> None:
        table = f"{schema}.operations"
        held = f"FROM {table} WHERE status IN ('running', 'cancelling')"
        self._table = table
        self._get = f"SELECT {FULL_COLUMNS} FROM {table} WHERE id = $1"
        self._get_many = f"SELECT {FULL_COLUMNS} FROM {table} WHERE id = ANY ($1::text[])"
        self._buried = f"SELECT id, owner, reason FROM {schema}.tombstones WHERE id = $1"
        self._known = f"SELECT id FROM {table} WHERE id = ANY ($1::text[])"
        self._versions = f"SELECT id, version FROM {table} WHERE id = ANY ($1::text[])"
        self._cancelling = f"SELECT id, run FROM {table} WHERE worker = $1 AND status = 'cancelling'"
        self._held = f"SELECT worker, id, run {held}"
        self._expired = f"SELECT id, run {held} AND lease_until <= $1 ORDER BY lease_until LIMIT $2"
        self._deadlines = (
            f"SELECT id FROM {table} WHERE deadline_at IS NOT NULL AND status IN ('queued', 'running') "
            "AND deadline_at <= $1 ORDER BY deadline_at LIMIT $2"
        )
        self._depth = f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE status = 'queued' LIMIT $1) AS queued"
        self._position = statement("queue_position", schema=schema)
        self._changed = statement("changed_since", schema=schema, columns=LIGHT_COLUMNS)
        self._events = statement("events_after", schema=schema)

    async def get(self, connection: Any, operation_id: str) -> Operation | Tombstone | None:
        """Return the record, its tombstone, or None."""
        key = storable(operation_id)
        row = await connection.fetchrow(self._get, key)
        if row is not None:
            return operation_from(row)
        buried = await connection.fetchrow(self._buried, key)
        return None if buried is None else Tombstone(buried[0], original(buried[1]), buried[2])

    async def known(self, connection: Any, operation_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that have a record."""
        return {row[0] for row in await connection.fetch(self._known, _keys(operation_ids))}

    async def versions(self, connection: Any, operation_ids: Sequence[str]) -> dict[str, int]:
        """Return the versions of those of the operations that exist."""
        return {row[0]: row[1] for row in await connection.fetch(self._versions, _keys(operation_ids))}

    async def cancelling(self, connection: Any, worker: str) -> list[Lease]:
        """Return the worker's runs that were asked to cancel."""
        return [Lease(row[0], row[1]) for row in await connection.fetch(self._cancelling, storable(worker))]

    async def overdue(self, connection: Any, now: datetime, limit: int) -> Overdue:
        """Return what the reaper must look at."""
        moment = milliseconds(now)
        expired = [Lease(row[0], row[1]) for row in await connection.fetch(self._expired, moment, limit)]
        deadlines = [row[0] for row in await connection.fetch(self._deadlines, moment, limit)]
        holders: dict[str, list[Lease]] = {}
        for worker, operation_id, run in await connection.fetch(self._held):
            holders.setdefault(original(worker), []).append(Lease(operation_id, run))
        held_by = {worker: tuple(leases) for worker, leases in holders.items()}
        return Overdue(tuple(expired), tuple(deadlines), held_by)

    async def queue_position(self, connection: Any, operation: Operation) -> int | None:
        """Return how many queued operations go first; None above 1,000."""
        ahead = await connection.fetchval(
            self._position,
            operation.priority,
            milliseconds(operation.run_at),
            operation.id,
            _FURTHEST_POSITION + 1,
        )
        return None if ahead > _FURTHEST_POSITION else int(ahead)

    async def queue_depth(self, connection: Any, limit: int) -> int:
        """Count the queued operations, up to the limit."""
        return int(await connection.fetchval(self._depth, limit))

    async def changed_since(self, connection: Any, owner: str, moment: datetime, limit: int) -> list[Operation]:
        """Return an owner's operations that changed since a moment, oldest change first."""
        rows = await connection.fetch(self._changed, storable(owner), milliseconds(moment), limit)
        return [operation_from(row) for row in rows]

    async def list_page(self, connection: Any, query: ListQuery) -> list[Operation]:
        """Return a page, newest first, without inputs and result bytes."""
        conditions, values = _conditions(query)
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        values.append(query.limit)
        text = f"SELECT {LIGHT_COLUMNS} FROM {self._table} {where}ORDER BY id DESC LIMIT ${len(values)}"
        return [operation_from(row) for row in await connection.fetch(text, *values)]

    async def events_after(
        self,
        connection: Any,
        cursors: Mapping[str, int],
        limit: int,
    ) -> dict[str, tuple[Operation, list[Event]]]:
        """Return records and events above the cursors; the connection sees one moment.

        A log longer than the limit is cut at a row; the caller asks again from there.
        """
        keys = _keys(list(cursors))
        records = [operation_from(row) for row in await connection.fetch(self._get_many, keys)]
        logs: dict[str, list[Event]] = {}
        for row in await connection.fetch(self._events, keys, list(cursors.values()), limit):
            logs.setdefault(row[0], []).append(event_from(row))
        found: dict[str, tuple[Operation, list[Event]]] = {}
        for operation in records:
            rows = logs.get(operation.id, [])
            events = history(operation, rows, after=cursors[operation.id])
            if len(rows) == limit:
                events = [event for event in events if event.version <= rows[-1].version]
            found[operation.id] = (operation, events)
        return found


def _keys(operation_ids: Sequence[str]) -> list[str]:
    return [storable(each) for each in operation_ids]


def _conditions(query: ListQuery) -> tuple[list[str], list[Any]]:
    """Return the conditions of a page, with their values numbered from one."""
    conditions: list[str] = []
    values: list[Any] = []

    def require(condition: str, *found: object) -> None:
        numbers = range(len(values) + 1, len(values) + 1 + len(found))
        conditions.append(condition.format(*(f"${number}" for number in numbers)))
        values.extend(found)

    if query.owner is not None:
        require("owner = {0} AND owner <> ''" if query.owner else "owner = {0}", storable(query.owner))
    if query.statuses:
        require("status = ANY ({0}::text[])", [status.value for status in query.statuses])
    if query.kind is not None:
        require("kind = {0}", storable(query.kind))
    if query.tags:
        require("tags @> {0}::text[]", tags(query.tags))
    if query.created_after is not None:
        earliest = first_id_at(max(query.created_after, EPOCH + _LONGEST_UPLOAD) - _LONGEST_UPLOAD)
        require("id >= {0} AND created_at >= {1}", earliest, milliseconds(query.created_after))
    if query.created_before is not None:
        latest = first_id_at(query.created_before)
        require("id < {0} AND created_at < {1}", latest, milliseconds(query.created_before))
    if query.before_id is not None:
        require("id < {0}", storable(query.before_id))
    return conditions, values
