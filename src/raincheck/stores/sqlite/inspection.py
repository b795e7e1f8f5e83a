"""Looking at a database file from outside: nothing is created, migrated or changed, also beside a running server."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from raincheck.core.errors import StoreError
from raincheck.core.moments import milliseconds, moment_at
from raincheck.stores.inspection import Holder, Some, Waiting, Work
from raincheck.stores.sqlite.opening import closing_after_errors, newest_schema, refuse_foreign, schema_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

_PATIENCE = 5.0
_HELD = (
    "SELECT worker, count(*), min(lease_until) FROM operations WHERE status IN ('running', 'cancelling') "
    "GROUP BY worker ORDER BY worker"
)
_WAITING = (
    "SELECT kind, queue, count(*), min(run_at) FROM operations WHERE status = 'queued' AND run_at <= ? "
    "GROUP BY kind, queue ORDER BY min(run_at)"
)
_SCHEDULED = "SELECT count(*), min(run_at) FROM operations WHERE status = 'queued' AND run_at > ?"
_OVERDUE = (
    "SELECT count(*), min(deadline_at) FROM operations WHERE deadline_at IS NOT NULL "
    "AND status IN ('queued', 'running') AND deadline_at <= ?"
)
_NEWEST = "SELECT max(max(created_at, updated_at)) FROM operations"


@contextlib.contextmanager
def opened_to_look(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database that is there, to read only.

    Errors of SQLite inside become StoreError, so a damaged file ends in one sentence.

    :raises StoreError: there is no such file, it cannot be read, or it is not a store of this release.
    """
    if not path.exists():
        msg = (
            f"There is no operation store at {path}. Start the application first, which creates it; or name the right "
            "file with --store sqlite:///path or RAINCHECK_STORE."
        )
        raise StoreError(msg)
    try:
        with contextlib.closing(_connect(path)) as connection:
            _refuse_unreadable(connection, path)
            yield connection
    except sqlite3.Error as error:
        msg = (
            f"{path} cannot be read as an operation store: {error}. Run this as the user of the server; if the file "
            "is another program's, name the right one with --store; if it is damaged, restore it from a backup."
        )
        raise StoreError(msg) from error


def _connect(path: Path) -> sqlite3.Connection:
    # Without a log nobody has the file open and it is complete by itself. Opened as it is, SQLite would leave a log
    # beside it, which belongs to the operator and may lock the server's user out; "immutable" opens it without one.
    log = path.with_name(path.name + "-wal")
    mode = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=_PATIENCE, isolation_level=None)
    with closing_after_errors(connection):
        connection.execute("PRAGMA query_only = ON")
    return connection


def _refuse_unreadable(connection: sqlite3.Connection, path: Path) -> None:
    refuse_foreign(connection, path)
    version = schema_version(connection)
    if version < newest_schema():
        msg = (
            f"{path} has schema {version}, this release reads {newest_schema()}. Run `raincheck migrate` with this "
            "release, or start the application with it: both bring the file up to date."
        )
        raise StoreError(msg)


# --- what an operator wants to know ---------------------------------------------------------------------------


def work(connection: sqlite3.Connection, now: datetime, *, overdue_before: datetime) -> Work:
    """Return what is held, what waits, and what should have ended."""
    return Work(
        holders(connection), waiting(connection, now), scheduled(connection, now), overdue(connection, overdue_before)
    )


def holders(connection: sqlite3.Connection) -> list[Holder]:
    """Return who holds leases, and when the first of each runs out."""
    rows = connection.execute(_HELD).fetchall()
    return [Holder(worker or "", count, moment_at(expiry or 0)) for worker, count, expiry in rows]


def waiting(connection: sqlite3.Connection, now: datetime) -> list[Waiting]:
    """Return the due operations that nobody has claimed, the longest waiting first."""
    rows = connection.execute(_WAITING, (milliseconds(now),)).fetchall()
    return [Waiting(kind, queue, count, moment_at(due)) for kind, queue, count, due in rows]


def scheduled(connection: sqlite3.Connection, now: datetime) -> Some:
    """Return how many queued operations fall due later, and when the first does."""
    return _some(connection, _SCHEDULED, now)


def overdue(connection: sqlite3.Connection, now: datetime) -> Some:
    """Return how many unfinished operations are past their deadline, and the first deadline."""
    return _some(connection, _OVERDUE, now)


def newest_moment(connection: sqlite3.Connection) -> datetime | None:
    """Return the latest moment at which an operation was created or changed."""
    (found,) = connection.execute(_NEWEST).fetchone()
    return None if found is None else moment_at(found)


def _some(connection: sqlite3.Connection, query: str, now: datetime) -> Some:
    count, first = connection.execute(query, (milliseconds(now),)).fetchone()
    return Some(count, None if first is None else moment_at(first))
