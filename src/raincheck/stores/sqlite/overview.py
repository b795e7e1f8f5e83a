"""What the operator's page asks of an SQLite file, with readers of its own: a large count holds up no client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raincheck.core.moments import milliseconds
from raincheck.own_threads import in_own_thread
from raincheck.stores.overview_rows import overview_from
from raincheck.stores.sqlite.queries import statement
from raincheck.stores.sqlite.reader import Readers
from raincheck.stores.sqlite.rows import LIGHT_COLUMNS, operation_from

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime, timedelta
    from pathlib import Path

    from raincheck.core.operation import Operation
    from raincheck.core.overview import Overview

_FINISHED = statement("overview_finished")
# By the index that has run_at, so that the rows on the other side of the moment are not read.
_QUEUED = "FROM operations INDEXED BY operations_queued WHERE status = 'queued' AND run_at"
_DUE = f"SELECT kind, count(*), min(run_at) {_QUEUED} <= ? GROUP BY kind"
_LATER = f"SELECT kind, count(*) {_QUEUED} > ? GROUP BY kind"
_HELD = "SELECT kind, status, count(*) FROM operations WHERE status IN ('running', 'cancelling') GROUP BY kind, status"
_HELD_BY = (
    f"SELECT {LIGHT_COLUMNS} FROM operations "  # noqa: S608 - constant columns
    "WHERE status IN ('running', 'cancelling') ORDER BY worker, id LIMIT ?"
)
# As in `reading`: each branch has an index of its own.
_CHANGED_IN = f"SELECT {LIGHT_COLUMNS} FROM operations WHERE updated_at >= :since"  # noqa: S608 - constant columns
_CHANGED = " UNION ALL ".join(
    [
        f"{_CHANGED_IN} AND status = 'queued'",
        f"{_CHANGED_IN} AND status IN ('running', 'cancelling')",
        f"{_CHANGED_IN} AND finished_at IS NOT NULL AND finished_at >= :since",
    ],
)


class SqliteOverview:
    """Implements OverviewStore beside a store on the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._readers: Readers | None = None

    async def open(self) -> None:
        """Prepare readers; their connections are opened at the first question."""
        self._readers = Readers(self._path)

    async def close(self) -> None:
        """Close the connections, after the count that may be under way."""
        if self._readers is not None:
            await in_own_thread(self._readers.close)

    async def overview(self, *, now: datetime, since: datetime, bucket: timedelta, most: int = 100_000) -> Overview:
        """Count what is under way and what finished since a moment."""
        parameters = {
            "since": milliseconds(since),
            "bucket": max(1, int(bucket.total_seconds() * 1000)),
            "most": most + 1,
        }
        return await self._reading.read(lambda connection: _overview(connection, milliseconds(now), parameters))

    async def held(self, *, limit: int = 1000) -> list[Operation]:
        """Return what workers hold."""
        return await self._reading.read(
            lambda connection: [operation_from(row) for row in connection.execute(_HELD_BY, (limit,))],
        )

    async def changed_by_anyone(self, moment: datetime, *, limit: int = 1000) -> list[Operation]:
        """Return what has changed since a moment, oldest change first."""
        parameters = {"since": milliseconds(moment), "limit": limit}
        query = f"{_CHANGED} ORDER BY 14 LIMIT :limit"
        return await self._reading.read(
            lambda connection: [operation_from(row) for row in connection.execute(query, parameters)],
        )

    @property
    def _reading(self) -> Readers:
        assert self._readers is not None
        return self._readers


def _overview(connection: sqlite3.Connection, now: int, parameters: dict[str, int]) -> Overview:
    connection.execute("BEGIN")  # all counts are of one moment
    try:
        due = connection.execute(_DUE, (now,)).fetchall()
        later = connection.execute(_LATER, (now,)).fetchall()
        held = connection.execute(_HELD).fetchall()
        finished = connection.execute(_FINISHED, parameters).fetchall()
    finally:
        connection.execute("COMMIT")
    return overview_from(
        due=due,
        later=later,
        held=held,
        finished=finished,
        since=parameters["since"],
        bucket=parameters["bucket"],
        most=parameters["most"] - 1,
    )
