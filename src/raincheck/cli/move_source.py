"""The SQLite file that ``raincheck migrate-store`` copies from; nothing in it is ever changed."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

from raincheck.stores.blob_names import is_last_part
from raincheck.stores.sqlite.inspection import opened_to_look
from raincheck.stores.sqlite.opening import connect
from raincheck.stores.sqlite.rows import FULL_COLUMNS, operation_from
from raincheck.stores.sqlite.store import side_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from raincheck.core.operation import Operation

COLUMNS = {
    "events": "operation, version, run, type, time, data",
    "deliveries": "id, operation, source, url, receiver, event, version, created_at, due_at, status, run, tries, log, "
    "worker, lease_until, finished_at",
    "tombstones": "id, owner, kind, reason, idempotency_key, until",
    "tickets": "digest, operation, owner, used, until",
    "webhooks": "url, events",
    "endpoints": "url, failing_since, last_failed_at, disabled_at, reason",
}
"""What is copied as it is; operations and their keys are not."""
_PORTION_ROWS, _PORTION_BYTES = 2000, 4 << 20
_AMONG = "(SELECT value FROM json_each(?))"
_COUNTS = (
    "SELECT 'operations ' || status, count(*), coalesce(sum(version), 0) FROM operations GROUP BY status",
    "SELECT 'deliveries ' || status, count(*), coalesce(sum(tries), 0) FROM deliveries GROUP BY status",
    "SELECT 'events', count(*), coalesce(sum(version), 0) FROM events",
    "SELECT 'tombstones', count(*), coalesce(sum(until), 0) FROM tombstones",
    (
        "SELECT 'keys', count(*), 0 FROM (SELECT 1 FROM operations WHERE idempotency_key IS NOT NULL "
        "UNION ALL SELECT 1 FROM tombstones WHERE idempotency_key IS NOT NULL)"
    ),
)


class Source:
    """A store in a file, read through one connection."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._blobs = side_folder(path) / "blobs"

    @contextlib.contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """See the file as it is now, until the end of the block; within an exclusive hold it does not change anyway."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def ids_after(self, last: str, *, finished: bool, limit: int) -> list[str]:
        """Return ids of finished or of unfinished operations, in order."""
        which = "IS NOT NULL" if finished else "IS NULL"
        query = f"SELECT id FROM operations WHERE id > ? AND finished_at {which} ORDER BY id LIMIT ?"  # noqa: S608
        return [row[0] for row in self._connection.execute(query, (last, limit))]

    def how_many(self, *, finished: bool) -> int:
        """Return how many operations have finished, or have not."""
        which = "IS NOT NULL" if finished else "IS NULL"
        found = self._connection.execute(f"SELECT count(*) FROM operations WHERE finished_at {which}")  # noqa: S608
        return int(found.fetchone()[0])

    def operations(self, ids: Sequence[str]) -> list[Operation]:
        """Return those of the records that are there."""
        query = f"SELECT {FULL_COLUMNS} FROM operations WHERE id IN {_AMONG} ORDER BY id"  # noqa: S608
        return [operation_from(row) for row in self._connection.execute(query, (json.dumps(list(ids)),))]

    def fate(self, ids: Sequence[str]) -> tuple[set[str], set[str]]:
        """Return which of the ids have a record, and which a tombstone."""
        given = (json.dumps(list(ids)),)
        kept, buried = (
            {row[0] for row in self._connection.execute(f"SELECT id FROM {table} WHERE id IN {_AMONG}", given)}  # noqa: S608
            for table in ("operations", "tombstones")
        )
        return kept, buried

    def events(self, ids: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
        """Give the rows of the operations' logs, in portions that fit into memory."""
        query = f"SELECT {COLUMNS['events']} FROM events WHERE operation IN {_AMONG}"  # noqa: S608
        return portions(self._connection.execute(query, (json.dumps(list(ids)),)))

    def deliveries(self, ids: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return rows by their ids."""
        query = f"SELECT {COLUMNS['deliveries']} FROM deliveries WHERE id IN {_AMONG}"  # noqa: S608
        return self._connection.execute(query, (json.dumps(list(ids)),)).fetchall()

    def states_of_deliveries(self, last: str, limit: int) -> list[tuple[Any, ...]]:
        """Return what changes of deliveries: (id, status, run, tries)."""
        query = "SELECT id, status, run, tries FROM deliveries WHERE id > ? ORDER BY id LIMIT ?"
        return self._connection.execute(query, (last, limit)).fetchall()

    def rows(self, table: str) -> Iterator[list[tuple[Any, ...]]]:
        """Give all rows of a table that is copied as it is."""
        return portions(self._connection.execute(f"SELECT {COLUMNS[table]} FROM {table}"))  # noqa: S608

    def files(self, operation_id: str) -> dict[str, Path]:
        """Return the operation's files by the names that the store knows them by."""
        found = {}
        for path in (self._blobs / operation_id).glob("*/*"):
            if path.is_file() and path.parent.name.isdecimal() and is_last_part(path.name):
                found[f"{operation_id}/{path.parent.name}/{path.name}"] = path
        return found

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return how many rows there are of each sort, and a sum over them."""
        return {row[0]: (row[1], row[2]) for query in _COUNTS for row in self._connection.execute(query)}


@contextlib.contextmanager
def served_source(path: Path) -> Iterator[Source]:
    """Open a store that may be in use.

    :raises StoreError: there is none, or it is of another release.
    """
    with opened_to_look(path), contextlib.closing(connect(path, read_only=True)) as connection:
        yield Source(connection, path)


@contextlib.contextmanager
def unserved_source(path: Path) -> Iterator[Source | None]:
    """Open a store that nobody else has open, and keep all others out until the block ends; None where somebody has."""
    with contextlib.closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            yield None
            return
        try:
            yield Source(connection, path)
        finally:
            connection.execute("ROLLBACK")


def portions(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Cut rows where they become many or large."""
    portion: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        portion.append(row)
        size += sum(len(value) for value in row if isinstance(value, str))
        if len(portion) >= _PORTION_ROWS or size >= _PORTION_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
