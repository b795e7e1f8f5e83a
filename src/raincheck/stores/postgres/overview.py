"""What the operator's page asks of a PostgreSQL schema, on connections of its own: a large count holds up no client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raincheck.core.moments import milliseconds
from raincheck.stores.overview_rows import overview_from
from raincheck.stores.postgres.pool import Pool
from raincheck.stores.postgres.queries import statement
from raincheck.stores.postgres.rows import LIGHT_COLUMNS, operation_from, original

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from raincheck.core.operation import Operation
    from raincheck.core.overview import Overview
    from raincheck.locations import PostgresDatabase


class PostgresOverview:
    """Implements OverviewStore beside a store in the same schema."""

    def __init__(self, database: PostgresDatabase) -> None:
        schema = database.schema
        table = f"{schema}.operations"
        queued = f"FROM {table} WHERE status = 'queued' AND run_at"
        self._pool = Pool(database)
        self._due = f"SELECT kind, count(*), min(run_at) {queued} <= $1 GROUP BY kind"
        self._later = f"SELECT kind, count(*) {queued} > $1 GROUP BY kind"
        held = f"FROM {table} WHERE status IN ('running', 'cancelling')"
        self._held = f"SELECT kind, status, count(*) {held} GROUP BY kind, status"
        self._held_by = f'SELECT {LIGHT_COLUMNS} {held} ORDER BY worker COLLATE "C", id LIMIT $1'
        self._finished = statement("overview_finished", schema=schema)
        self._changed = statement("changed_by_anyone", schema=schema, columns=LIGHT_COLUMNS)

    async def open(self) -> None:
        """Prepare connections; they are opened at the first question."""
        await self._pool.open()

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def overview(self, *, now: datetime, since: datetime, bucket: timedelta, most: int = 100_000) -> Overview:
        """Count what is under way and what finished since a moment."""
        start, moment = milliseconds(since), milliseconds(now)
        length = max(1, int(bucket.total_seconds() * 1000))

        async def count(connection: Any) -> Overview:
            finished = await connection.fetch(self._finished, start, length, most + 1)
            return overview_from(
                due=_named(await connection.fetch(self._due, moment)),
                later=_named(await connection.fetch(self._later, moment)),
                held=_named(await connection.fetch(self._held)),
                finished=[(part, original(name), *rest) for part, name, *rest in finished],
                since=start,
                bucket=length,
                most=most,
            )

        return await self._pool.read_at_one_moment(count)

    async def held(self, *, limit: int = 1000) -> list[Operation]:
        """Return what workers hold."""
        rows = await self._pool.read(lambda connection: connection.fetch(self._held_by, limit))
        return [operation_from(row) for row in rows]

    async def changed_by_anyone(self, moment: datetime, *, limit: int = 1000) -> list[Operation]:
        """Return what has changed since a moment, oldest change first."""
        since = milliseconds(moment)
        rows = await self._pool.read(lambda connection: connection.fetch(self._changed, since, limit))
        return [operation_from(row) for row in rows]


def _named(rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Return rows whose kinds, the first column, are as they were given."""
    return [(original(kind), *rest) for kind, *rest in rows]
