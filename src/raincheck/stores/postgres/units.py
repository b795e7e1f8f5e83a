"""Units of work that share a transaction, and what one transaction does with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raincheck.core import transitions
from raincheck.core.delivery_rules import with_deliveries
from raincheck.core.events import EventType
from raincheck.core.transitions import Change
from raincheck.ports import Accepted, KeyConflict, Replayed, Tombstone
from raincheck.stores.postgres.claims import Claims
from raincheck.stores.postgres.deliveries import DeliveryWriter
from raincheck.stores.postgres.queries import statement
from raincheck.stores.postgres.rows import (
    FULL_COLUMNS,
    LIGHT_COLUMNS,
    asks_nothing_special,
    columns_of,
    event_values,
    insert_values,
    operation_from,
    original,
    queued_values,
    storable,
    update_values,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence

    from raincheck.core.deliveries import Delivery
    from raincheck.core.endpoints import Endpoint
    from raincheck.core.operation import Operation
    from raincheck.ports import Claim, Submitted
    from raincheck.stores.postgres.outbox import PostgresOutbox

_INSERTED, _QUEUED, _UPDATED, _EVENT = 29, 13, 25, 6  # columns
_KIND, _OWNER, _KEY = 1, 2, 23  # places in a row to insert
_NUMBER = "pg_current_xact_id()::text"


@dataclass(slots=True, eq=False)
class Unit:
    """One piece of work. It may run again, after its transaction failed: only the last run's findings count."""

    future: asyncio.Future[Any]
    waiting_since: float
    result: Any = None
    changes: Sequence[Change] = ()
    error: BaseException | None = None

    def forget(self) -> None:
        """Forget what a transaction that was not committed found."""
        self.result, self.changes, self.error = None, (), None


@dataclass(slots=True, eq=False, kw_only=True)
class Submit(Unit):
    """Accept an operation, leased to the claim if nothing goes before it."""

    operation: Operation
    claim: Claim | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Alter(Unit):
    """Apply a transition to a record."""

    operation_id: str
    transition: Callable[[Operation], Change | None]


@dataclass(slots=True, eq=False, kw_only=True)
class Take(Unit):
    """Lease queued operations to a worker."""

    claim: Claim


class Transaction:
    """The statements of one transaction, in the order that keeps writers from waiting for each other in a ring.

    Keys come first and in order, then rows in the order of their ids; claims never wait.

    :param endpoints: tells who hears of every operation.
    :param outbox: knows the engine that is told what is queued.
    """

    def __init__(self, *, schema: str, endpoints: Callable[[], Sequence[Endpoint]], outbox: PostgresOutbox) -> None:
        self._endpoints = endpoints
        self._outbox = outbox
        self._deliveries = DeliveryWriter(schema)
        self._insert = statement("insert_operations", schema=schema)
        self._insert_queued = statement("insert_queued", schema=schema)
        self._write = statement("write_changes", schema=schema)
        self._claims = Claims(schema, number=_NUMBER)
        self._select = (
            f"SELECT {LIGHT_COLUMNS}, {_NUMBER} FROM {schema}.operations WHERE id = ANY ($1::text[]) "
            "ORDER BY id FOR UPDATE"
        )
        self._get = f"SELECT {FULL_COLUMNS} FROM {schema}.operations WHERE id = $1"
        self._event = (
            f"SELECT EXISTS (SELECT 1 FROM {schema}.events WHERE operation = $1 AND version = $2 AND run = $3 "
            "AND type = $4 AND time = $5 AND data = $6)"
        )
        self._reached = f"SELECT EXISTS (SELECT 1 FROM {schema}.operations WHERE id = $1 AND version >= $2)"
        self._buried = f"SELECT id, owner, reason FROM {schema}.tombstones WHERE id = $1"
        self._holder = f"SELECT operation FROM {schema}.idempotency_keys WHERE owner = $1 AND kind = $2 AND key = $3"
        unstarted = "(run = 0 AND status = 'queued')"
        self._withdraw = f"DELETE FROM {schema}.operations WHERE id = ANY ($1::text[]) AND {unstarted} RETURNING id"
        self._free = (
            f"DELETE FROM {schema}.idempotency_keys WHERE operation = $1 AND kind = $2 AND owner = $3 AND key = $4"
        )

    # --- submits ----------------------------------------------------------------------------------------------

    async def lease(self, connection: Any, units: Sequence[Submit]) -> bool:
        """Decide what starts at once; return whether the inserts are all there is to write.

        Nobody who waits is overtaken, in the database or in this batch.
        """
        waiting: set[tuple[str, str]] = set()
        looked: dict[object, bool] = {}
        for unit in units:
            operation, claim = unit.operation, unit.claim
            place = (operation.kind, operation.queue)
            if claim is None:
                _accept(unit, transitions.accept(operation))
                waiting.add(place)
                continue
            wish = (claim.kinds, claim.queues)
            if wish not in looked:
                looked[wish] = await self._claims.waits(connection, claim)
            if looked[wish] or any(_wants(claim, *each) for each in waiting):
                _accept(unit, transitions.accept(operation))
                waiting.add(place)
            else:
                _accept(unit, self._told(_begun(operation, claim)))
        changes = [change for unit in units for change in unit.changes]
        return not any(change.deliveries for change in changes) and not self._outbox.to_enlist(changes)

    async def insert(self, connection: Any, units: Sequence[Submit]) -> str | None:
        """Insert what ``lease`` has decided; what an earlier, unanswered run of this has inserted counts as accepted.

        :returns: the number of the transaction, None where nothing was inserted.
        """
        if not units:
            return None
        found = await self._insert_all(connection, [unit.changes[0].operation for unit in units])
        inserted = {row[0] for row in found}
        known: dict[tuple[str, str, str | None], Operation | Tombstone | None] = {}
        for unit in units:
            operation = unit.operation
            if operation.id not in inserted:
                key = (operation.owner, operation.kind, operation.idempotency_key or operation.id)
                if key not in known:
                    known[key] = await self._holder_of(connection, operation)
                _answer(unit, known[key])
        told = [delivery for unit in units for change in unit.changes for delivery in change.deliveries]
        await self._deliveries.insert(connection, told)
        return found[0][1] if found else None

    async def _insert_all(self, connection: Any, fresh: Sequence[Operation]) -> list[Any]:
        terms = self._outbox.terms
        if all(map(asks_nothing_special, fresh)):
            rows = [queued_values(operation, terms) for operation in fresh]
            return list(await connection.fetch(self._insert_queued, *columns_of(rows, count=_QUEUED)))
        rows = [insert_values(operation, terms) for operation in fresh]
        return list(await connection.fetch(self._insert, *columns_of(rows, count=_INSERTED)))

    async def _holder_of(self, connection: Any, operation: Operation) -> Operation | Tombstone | None:
        """Return whose the operation's key or id is; None if it was freed just now."""
        if operation.idempotency_key is None:
            return await self.get(connection, operation.id)
        key = [storable(text) for text in (operation.owner, operation.kind, operation.idempotency_key)]
        holder = await connection.fetchval(self._holder, *key)
        return None if holder is None else await self.get(connection, holder)

    async def get(self, connection: Any, operation_id: str) -> Operation | Tombstone | None:
        """Return a record, its tombstone, or None."""
        row = await connection.fetchrow(self._get, operation_id)
        if row is not None:
            return operation_from(row)
        buried = await connection.fetchrow(self._buried, operation_id)
        return None if buried is None else Tombstone(buried[0], original(buried[1]), buried[2])

    async def alter(self, connection: Any, units: Sequence[Alter]) -> str | None:
        """Hold the rows of all changes, apply the transitions one after the other, write all at once.

        :returns: the number of the transaction, None where it has none because there was nothing to hold.
        """
        if not units:
            return None
        ids = list({unit.operation_id for unit in units})
        rows = await connection.fetch(self._select, ids)
        records = {operation.id: operation for operation in map(operation_from, rows)}
        for unit in units:
            self._apply(unit, records)
        await self._write_all(connection, (change for unit in units for change in unit.changes))
        return rows[0][-1] if rows else None

    def _apply(self, unit: Alter, records: dict[str, Operation]) -> None:
        record = records.get(unit.operation_id)
        if record is None:
            unit.error = KeyError(unit.operation_id)
            return
        try:
            change = unit.transition(record)
        except Exception as error:  # noqa: BLE001 - also a bug in a transition reaches its caller, and harms no other
            unit.error = error
            return
        if change is None or change.empty:
            unit.result = record
            return
        records[record.id] = change.operation
        unit.result, unit.changes = change.operation, (self._told(change),)

    def _told(self, change: Change) -> Change:
        return with_deliveries(change, self._endpoints())

    async def take(self, connection: Any, units: Sequence[Take]) -> str | None:
        """Lease what is due and what nobody else is leasing at this moment.

        :returns: as ``alter`` does.
        """
        number: str | None = None
        for unit in units:
            claim = unit.claim
            rows = await self._claims.lock(connection, claim)
            claimed = [_claimed(operation, claim) for operation, _ in rows]
            unit.changes = [self._told(change) for change in claimed if change is not None]
            unit.result = [change.operation for change in unit.changes]
            await self._write_all(connection, unit.changes)
            number = rows[0][-1] if rows else number
        return number

    async def left_behind(self, connection: Any, units: Sequence[Unit]) -> bool:
        """Tell whether the database has what these units write; one of their rows stands for all.

        An event is best: nobody else writes the same one. A progress may be superseded, so it is no proof.
        """
        changes = [change for unit in units if not isinstance(unit, Submit) for change in unit.changes]
        events = [event for change in changes for event in change.events if event.type is not EventType.PROGRESS]
        if events:
            return bool(await connection.fetchval(self._event, *event_values(events[0])))
        records = [change.operation for unit in units for change in unit.changes]
        if records:
            return bool(await connection.fetchval(self._reached, records[-1].id, records[-1].version))
        return True

    async def enlist(self, connection: Any, units: Sequence[Unit]) -> None:
        """Tell an engine that shares the database what was queued; its messages count with this transaction."""
        queued = self._outbox.to_enlist([change for unit in units for change in unit.changes])
        if queued and self._outbox.enlist is not None:
            await self._outbox.enlist(connection, queued)

    async def _write_all(self, connection: Any, changes: Iterable[Change]) -> None:
        """Write the last record of each operation and the events of all changes."""
        last: dict[str, Operation] = {}
        events = []
        told: list[Delivery] = []
        for change in changes:
            told.extend(change.deliveries)
            last[change.operation.id] = change.operation
            events.extend([event_values(event) for event in change.events])
        if last:
            records = columns_of(
                [update_values(operation, self._outbox.terms) for operation in last.values()], count=_UPDATED
            )
            await connection.execute(self._write, *records, *columns_of(events, count=_EVENT))
            await self._deliveries.insert(connection, told)

    async def withdraw(self, connection: Any, units: Sequence[Submit]) -> None:
        """Take back submits whose callers were told that they may not count, unless they have been started.

        The insert before it waits for a commit of the same rows that may still be under way.
        """
        rows = [insert_values(unit.operation) for unit in units]
        await connection.fetch(self._insert, *columns_of(rows, count=_INSERTED))
        gone = [row[0] for row in await connection.fetch(self._withdraw, [unit.operation.id for unit in units])]
        keyed = [row for row in rows if row[0] in gone and row[_KEY] is not None]
        await connection.executemany(self._free, [(row[0], row[_KIND], row[_OWNER], row[_KEY]) for row in keyed])


def _accept(unit: Submit, change: Change) -> None:
    begun = None if change.operation is unit.operation else change.operation
    unit.result, unit.changes = Accepted(unit.operation, begun), (change,)


def _begun(operation: Operation, claim: Claim) -> Change:
    return transitions.accept_and_claim(operation, worker=claim.worker, lease_until=claim.lease_until, now=claim.now)


def _wants(claim: Claim, kind: str, queue: str) -> bool:
    return kind in claim.kinds and (claim.queues is None or queue in claim.queues)


def _answer(unit: Submit, holder: Operation | Tombstone | None) -> None:
    """Answer a submit that was not inserted, because its key is taken or because it is there already."""
    mine = unit.operation
    unit.result, unit.changes = None, ()
    if holder is None:
        unit.error = KeyFreed()
    elif holder.id != mine.id:
        unit.result = _found(mine, holder)
    elif isinstance(holder, Tombstone) or not _is_ours(unit, holder):
        _accept(unit, transitions.accept(mine))
    else:
        _accept(unit, Change(holder, 0))


def _is_ours(unit: Submit, record: Operation) -> bool:
    """Tell whether the record is what the submit's own claim has begun, and untouched since."""
    claim = unit.claim
    return claim is not None and (record.version, record.run, record.worker) == (2, 1, claim.worker)


def _found(mine: Operation, holder: Operation | Tombstone) -> Submitted:
    if isinstance(holder, Tombstone):
        return holder
    return Replayed(holder) if holder.fingerprint == mine.fingerprint else KeyConflict(holder)


def _claimed(operation: Operation, claim: Claim) -> Change | None:
    return transitions.claim(operation, worker=claim.worker, lease_until=claim.lease_until, now=claim.now)


class KeyFreed(Exception):
    """The key that kept a submit out was freed at that very moment; the submit runs once more."""
