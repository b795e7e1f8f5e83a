"""Looking at a database from outside: nothing is made, migrated or changed, also beside running servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raincheck.core.errors import StoreError
from raincheck.core.moments import milliseconds, moment_at
from raincheck.stores.inspection import Holder, Some, Waiting, Work
from raincheck.stores.postgres.opening import newest_schema, refuse_newer, schema_version

if TYPE_CHECKING:
    from datetime import datetime

    from raincheck.locations import PostgresDatabase

_READ_ONLY = "SET default_transaction_read_only = on"


async def refuse_unreadable(connection: Any, database: PostgresDatabase) -> None:
    """Refuse a schema that this release cannot read, and writes by mistake.

    :raises StoreError: there is no store, or it is of another release.
    """
    version = await schema_version(connection, database)
    refuse_newer(version, database)
    if version == 0:
        msg = (
            f"There is no operation store in schema {database.schema!r} of {database}. Start the application first, "
            "which makes it; or name the right database with --store or RAINCHECK_STORE."
        )
        raise StoreError(msg)
    if version < newest_schema():
        msg = (
            f"Schema {database.schema!r} of {database} has version {version}, this release reads {newest_schema()}. "
            "Run `raincheck migrate` with this release, or start the application as the owner of the tables."
        )
        raise StoreError(msg)
    await connection.execute(_READ_ONLY)


async def work(connection: Any, schema: str, now: datetime, *, overdue_before: datetime) -> Work:
    """Return what is held, what waits, and what should have ended."""
    held = await connection.fetch(
        f"SELECT worker, count(*), min(lease_until) FROM {schema}.operations "
        "WHERE status IN ('running', 'cancelling') GROUP BY worker ORDER BY worker"
    )
    waiting = await connection.fetch(
        f"SELECT kind, queue, count(*), min(run_at) FROM {schema}.operations WHERE status = 'queued' AND run_at <= $1 "
        "GROUP BY kind, queue ORDER BY min(run_at)",
        milliseconds(now),
    )
    scheduled = await connection.fetchrow(
        f"SELECT count(*), min(run_at) FROM {schema}.operations WHERE status = 'queued' AND run_at > $1",
        milliseconds(now),
    )
    overdue = await connection.fetchrow(
        f"SELECT count(*), min(deadline_at) FROM {schema}.operations WHERE deadline_at IS NOT NULL "
        "AND status IN ('queued', 'running') AND deadline_at <= $1",
        milliseconds(overdue_before),
    )
    return Work(
        [Holder(worker or "", count, moment_at(expiry or 0)) for worker, count, expiry in held],
        [Waiting(kind, queue, count, moment_at(due)) for kind, queue, count, due in waiting],
        _some(scheduled),
        _some(overdue),
    )


def _some(row: Any) -> Some:
    return Some(row[0], None if row[1] is None else moment_at(row[1]))
