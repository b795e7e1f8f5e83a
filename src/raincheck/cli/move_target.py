"""The PostgreSQL schema that ``raincheck migrate-store`` copies to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from raincheck.cli.move_source import COLUMNS
from raincheck.core.errors import StoreError
from raincheck.stores.postgres.queries import statement
from raincheck.stores.postgres.rows import columns_of, insert_values, storable, update_values

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from pathlib import Path

    from raincheck.core.operation import Operation
    from raincheck.stores.postgres import PostgresStore
    from raincheck.stores.postgres.blobs import PostgresBlobs

_LONG = 600.0
"""Seconds that a statement about a whole table may take."""
_PIECE = 1 << 20
_NUMBERS = frozenset({"version", "run", "time", "created_at", "due_at", "tries", "lease_until", "finished_at", "until"})
_NUMBERS |= {"failing_since", "last_failed_at", "disabled_at"}
_COUNTS = (
    "SELECT 'operations ' || status, count(*), coalesce(sum(version), 0)::bigint FROM {0}.operations GROUP BY status",
    "SELECT 'deliveries ' || status, count(*), coalesce(sum(tries), 0)::bigint FROM {0}.deliveries GROUP BY status",
    "SELECT 'events', count(*), coalesce(sum(version), 0)::bigint FROM {0}.events",
    "SELECT 'tombstones', count(*), coalesce(sum(until), 0)::bigint FROM {0}.tombstones",
    "SELECT 'keys', count(*), 0::bigint FROM {0}.idempotency_keys",
)


class Target:
    """A schema that becomes a copy.

    :param connection: writes; the store's own connections only read and keep files.
    """

    def __init__(self, *, store: PostgresStore, blobs: PostgresBlobs, connection: Any) -> None:
        self._schema = store.database.schema
        self._blobs = blobs
        self._connection = connection
        self._insert = statement("insert_operations", schema=self._schema)
        self._write = statement("write_changes", schema=self._schema)

    def transaction(self) -> Any:
        """Return a block whose writes all count or none does."""
        return self._connection.transaction()

    async def ids_after(self, last: str, limit: int) -> list[str]:
        """Return ids of operations, in order."""
        query = f"SELECT id FROM {self._schema}.operations WHERE id > $1 ORDER BY id LIMIT $2"  # noqa: S608
        return [row[0] for row in await self._connection.fetch(query, last, limit)]

    async def known(self, ids: Sequence[str]) -> set[str]:
        """Return those of the ids that have a record."""
        query = f"SELECT id FROM {self._schema}.operations WHERE id = ANY ($1::text[])"  # noqa: S608
        return {row[0] for row in await self._connection.fetch(query, list(ids))}

    async def insert_operations(self, operations: Sequence[Operation]) -> None:
        """Write records that are not there.

        :raises StoreError: something there has their idempotency keys.
        """
        if not operations:
            return
        rows = [insert_values(operation) for operation in operations]
        found = await self._connection.fetch(self._insert, *zip(*rows, strict=True))
        if len(found) < len(rows):
            missing = {operation.id for operation in operations} - {row[0] for row in found}
            msg = (
                f"{len(missing)} operations, such as {min(missing)}, cannot be copied: other operations in schema "
                f"{self._schema!r} have their idempotency keys. Copy into an empty schema (?schema=another)."
            )
            raise StoreError(msg)
        records = zip(*[update_values(operation) for operation in operations], strict=True)
        no_events = columns_of([], count=len(COLUMNS["events"].split(", ")))
        await self._connection.execute(self._write, *records, *no_events)

    async def insert(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows of a table that is copied as it is."""
        names = COLUMNS[table].split(", ")
        types = ["boolean" if name == "used" else "bigint" if name in _NUMBERS else "text" for name in names]
        given = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types, 1))
        query = f"INSERT INTO {self._schema}.{table} ({COLUMNS[table]}) SELECT * FROM unnest({given}) "  # noqa: S608
        values = [
            [_as(kind, value) for value in column]
            for kind, column in zip(types, columns_of(rows, count=len(names)), strict=True)
        ]
        await self._connection.execute(f"{query} ON CONFLICT DO NOTHING", *values)

    async def keep_keys_of_tombstones(self) -> None:
        """Let the keys of deleted operations go on to answer 410."""
        await self._connection.execute(
            f"INSERT INTO {self._schema}.idempotency_keys (owner, kind, key, operation) "  # noqa: S608
            f"SELECT owner, kind, idempotency_key, id FROM {self._schema}.tombstones "
            "WHERE idempotency_key IS NOT NULL ON CONFLICT DO NOTHING"
        )

    async def states_of_deliveries(self, ids: Sequence[str]) -> set[tuple[Any, ...]]:
        """Return what changes of deliveries: (id, status, run, tries)."""
        query = f"SELECT id, status, run, tries FROM {self._schema}.deliveries WHERE id = ANY ($1::text[])"  # noqa: S608
        return {tuple(row) for row in await self._connection.fetch(query, list(ids))}

    async def forget(self, table: str, column: str, values: Sequence[str]) -> None:
        """Remove rows."""
        query = f"DELETE FROM {self._schema}.{table} WHERE {column} = ANY ($1::text[])"  # noqa: S608
        await self._connection.execute(query, list(values))

    async def empty(self, table: str) -> None:
        """Remove all rows of a table."""
        await self._connection.execute(f"DELETE FROM {self._schema}.{table}", timeout=_LONG)  # noqa: S608

    async def forget_operations(self, ids: Sequence[str]) -> None:
        """Remove operations with all they have."""
        async with self.transaction():
            for table, column in (
                ("operations", "id"),
                ("events", "operation"),
                ("deliveries", "operation"),
                ("idempotency_keys", "operation"),
            ):
                await self.forget(table, column, ids)
        await self._blobs.remove_operations(ids)

    # --- files ------------------------------------------------------------------------------------------------

    async def sizes(self, operation_ids: Sequence[str]) -> dict[str, int]:
        """Return the sizes of the operations' files that are there."""
        query = (
            f"SELECT operation || '/' || run || '/' || name, size FROM {self._schema}.blobs "  # noqa: S608
            "WHERE operation = ANY ($1::text[])"
        )
        return {row[0]: row[1] for row in await self._connection.fetch(query, list(operation_ids))}

    async def put(self, name: str, path: Path) -> None:
        """Copy a file."""
        await self._blobs.put(name, _read(path))

    async def counts(self) -> dict[str, tuple[int, int]]:
        """Return how many rows there are of each sort, and a sum over them."""
        found = [
            row for query in _COUNTS for row in await self._connection.fetch(query.format(self._schema), timeout=_LONG)
        ]
        return {row[0]: (row[1], row[2]) for row in found}

    async def analyse(self) -> None:
        """Let the planner know what is there now, rather than when the server finds the time."""
        names: Iterable[str] = ("operations", "events", "deliveries", "tombstones", "idempotency_keys")
        for name in names:
            await self._connection.execute(f"ANALYZE {self._schema}.{name}", timeout=_LONG)


def _as(kind: str, value: Any) -> Any:
    if value is None:
        return None
    return bool(value) if kind == "boolean" else storable(value) if kind == "text" else value


async def _read(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as source:
        while piece := await asyncio.to_thread(source.read, _PIECE):
            yield piece
