"""The store in plain dictionaries: for tests and ``store="memory:"``. What it holds ends with the process.

The whole contract in one short file, so it is also the place to see what a store must do.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from raincheck.core import transitions
from raincheck.core.events import Event, history
from raincheck.core.operation import Operation, Status
from raincheck.ports import (
    Accepted,
    Claim,
    KeyConflict,
    Lease,
    ListQuery,
    Overdue,
    Renewal,
    Replayed,
    Submitted,
    Tombstone,
)
from raincheck.stores.memory_deliveries import MemoryDeliveries
from raincheck.stores.memory_outbox import MemoryOutbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from raincheck.core.transitions import Change
    from raincheck.ports import Ticket

logger = logging.getLogger("raincheck.store")

TOMBSTONES_KEPT = timedelta(days=7)
LAST_POSITION = 1000


class MemoryStore(MemoryDeliveries, MemoryOutbox):
    """Operations and events in dictionaries behind one lock; usable from any thread's event loop."""

    def __init__(self) -> None:
        MemoryDeliveries.__init__(self)
        MemoryOutbox.__init__(self)
        self._operations: dict[str, Operation] = {}
        self._events: dict[str, list[Event]] = {}
        self._keys: dict[tuple[str, str, str], str] = {}
        self._graves: dict[str, _Grave] = {}
        self._tickets: dict[str, tuple[Ticket, bool]] = {}
        self._unpublished: list[Change] = []
        self._listeners: list[Callable[[Sequence[Change]], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Remember the loop in which listeners are called."""
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """Stop calling listeners; the data stay as long as this object."""
        self._loop = None

    def subscribe(self, listener: Callable[[Sequence[Change]], None]) -> None:
        """Call the listener after each commit with all its changes."""
        self._listeners.append(listener)

    # --- changing -------------------------------------------------------------------------------------------

    async def submit(self, operation: Operation, *, claim: Claim | None = None) -> Submitted:
        """Keep a new operation, leased if it may start at once, unless its idempotency key already belongs to one."""
        with self._lock:
            earlier = self._earlier_submit(operation)
            if earlier is not None:
                return earlier
            if operation.idempotency_key is not None:
                self._keys[operation.owner, operation.kind, operation.idempotency_key] = operation.id
            change = self._accepted(operation, claim)
            self._write(change)
        self._publish()
        return Accepted(operation, None if change.operation is operation else change.operation)

    async def claim(self, claim: Claim) -> list[Operation]:
        """Give a worker the operations that go first."""
        claimed: list[Operation] = []
        with self._lock:
            waiting = (each for each in self._in_claim_order() if _wanted(each, claim))
            for operation in waiting:
                if len(claimed) == claim.limit:
                    break
                change = transitions.claim(operation, worker=claim.worker, lease_until=claim.lease_until, now=claim.now)
                if change is not None:
                    self._write(change)
                    claimed.append(change.operation)
        self._publish()
        return claimed

    async def renew(self, leases: Sequence[Lease], *, lease_until: datetime) -> Renewal:
        """Extend the leases that still hold; a renewal is no change and gets no version."""
        lost: set[Lease] = set()
        cancelling: set[Lease] = set()
        with self._lock:
            for lease in leases:
                operation = self._operations.get(lease.id)
                if operation is None or not transitions.renewable(operation, run=lease.run):
                    lost.add(lease)
                    continue
                self._operations[lease.id] = replace(operation, lease_until=lease_until)
                if operation.status is Status.CANCELLING:
                    cancelling.add(lease)
        return Renewal(frozenset(lost), frozenset(cancelling))

    async def change(self, operation_id: str, transition: Callable[[Operation], Change | None]) -> Operation:
        """Apply a transition to the record as it is at this moment."""
        with self._lock:
            operation = self._operations[operation_id]
            change = transition(operation)
            if change is None or change.empty:
                return operation
            self._write(change)
        self._publish()
        return change.operation

    async def delete(self, operation_id: str, *, check: Callable[[Operation], None], now: datetime) -> None:
        """Replace a record that passes the check by a tombstone."""
        with self._lock:
            operation = self._operations[operation_id]
            check(operation)
            self._bury(operation, reason="deleted", now=now)

    async def prune(self, now: datetime, *, limit: int = 500) -> list[str]:
        """Replace expired operations by tombstones, drop old tombstones; return the ids of the former."""
        with self._lock:
            old = [grave.stone.id for grave in self._graves.values() if grave.since + TOMBSTONES_KEPT <= now]
            for operation_id in old[:limit]:
                grave = self._graves.pop(operation_id)
                if grave.key is not None:
                    del self._keys[grave.key]
            expired = [each for each in self._operations.values() if _expired(each, now)][:limit]
            for operation in expired:
                self._bury(operation, reason="expired", now=now)
            self._forget_endpoints(now)
        return [operation.id for operation in expired]

    # --- reading --------------------------------------------------------------------------------------------

    async def get(self, operation_id: str) -> Operation | Tombstone | None:
        """Return the record, or what is left of it."""
        with self._lock:
            return self._operations.get(operation_id) or self._stone(operation_id)

    async def cancelling(self, worker: str) -> list[Lease]:
        """Return the runs of a worker that were asked to cancel."""
        with self._lock:
            return [
                Lease(each.id, each.run)
                for each in self._operations.values()
                if each.status is Status.CANCELLING and each.worker == worker
            ]

    async def overdue(self, now: datetime, *, limit: int = 500) -> Overdue:
        """Return leases that ran out, deadlines that passed, and who holds what."""
        expired: list[Lease] = []
        deadlines: list[str] = []
        holders: dict[str, tuple[Lease, ...]] = {}
        with self._lock:
            for each in self._operations.values():
                lease = Lease(each.id, each.run)
                if each.worker is not None:
                    holders[each.worker] = (*holders.get(each.worker, ()), lease)
                if each.lease_until is not None and each.lease_until <= now:
                    expired.append(lease)
                if transitions.expire_deadline(each, now=now) is not None:
                    deadlines.append(each.id)
        return Overdue(tuple(expired[:limit]), tuple(deadlines[:limit]), holders)

    async def list_page(self, query: ListQuery) -> list[Operation]:
        """Return operations, newest first, without input and result bytes."""
        with self._lock:
            found = sorted((each for each in self._operations.values() if _matches(each, query)), key=lambda o: o.id)
        return [_without_bytes(operation) for operation in reversed(found[-query.limit :])]

    async def known(self, operation_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that have a record."""
        with self._lock:
            return self._operations.keys() & set(operation_ids)

    async def queue_position(self, operation: Operation) -> int | None:
        """Return how many queued operations go first; None beyond 1,000."""
        mine = _claim_order(operation)
        with self._lock:
            ahead = sum(_claim_order(each) < mine for each in self._queued())
        return ahead if ahead <= LAST_POSITION else None

    async def queue_depth(self, *, limit: int) -> int:
        """Return the number of queued operations, counting to the limit at most."""
        with self._lock:
            return sum(1 for _ in islice(self._queued(), limit))

    async def issue(self, ticket: Ticket, *, now: datetime) -> None:
        """Keep a ticket, and forget those that have run out."""
        with self._lock:
            self._tickets = {each: kept for each, kept in self._tickets.items() if kept[0].until > now}
            self._tickets[ticket.digest] = (ticket, False)

    async def use(self, digest: str, *, resuming: bool, now: datetime, until: datetime) -> tuple[str, str] | None:
        """Use a ticket; return its operation and owner."""
        with self._lock:
            ticket, used = self._tickets.get(digest, (None, False))
            if ticket is None or ticket.until <= now or (used and not resuming):
                return None
            self._tickets[digest] = (replace(ticket, until=until), True)
            return ticket.operation, ticket.owner

    async def end_use(self, digest: str, *, given: datetime, until: datetime) -> None:
        """Set the end of a ticket that nobody has used since."""
        with self._lock:
            ticket, used = self._tickets.get(digest, (None, False))
            if ticket is not None and ticket.until == given:
                self._tickets[digest] = (replace(ticket, until=until), used)

    async def versions(self, operation_ids: Sequence[str]) -> dict[str, int]:
        """Return the versions of those of the operations that exist."""
        with self._lock:
            return {each: self._operations[each].version for each in operation_ids if each in self._operations}

    async def changed_since(self, owner: str, moment: datetime, *, limit: int = 1000) -> list[Operation]:
        """Return what of an owner has changed since a moment, oldest change first."""
        with self._lock:
            found = [each for each in self._operations.values() if each.owner == owner and each.updated_at >= moment]
        return [_without_bytes(each) for each in sorted(found, key=lambda each: each.updated_at)[:limit]]

    async def events_after(
        self, cursors: Mapping[str, int], *, limit: int = 1000
    ) -> dict[str, tuple[Operation, list[Event]]]:
        """Return each known operation with its first events above the cursor."""
        found: dict[str, tuple[Operation, list[Event]]] = {}
        with self._lock:
            for operation_id, after in cursors.items():
                operation = self._operations.get(operation_id)
                if operation is not None:
                    events = history(operation, self._events[operation_id], after=after)
                    found[operation_id] = (operation, events[:limit])
        return found

    # --- with the lock held ---------------------------------------------------------------------------------

    def _earlier_submit(self, operation: Operation) -> Submitted | None:
        if operation.idempotency_key is None:
            return None
        earlier_id = self._keys.get((operation.owner, operation.kind, operation.idempotency_key))
        if earlier_id is None:
            return None
        earlier = self._operations.get(earlier_id)
        if earlier is None:
            return self._stone(earlier_id)
        if earlier.fingerprint == operation.fingerprint:
            return Replayed(earlier)
        return KeyConflict(earlier)

    def _accepted(self, operation: Operation, claim: Claim | None) -> Change:
        if claim is None:
            return transitions.accept(operation)
        if any(_wanted(each, claim) and transitions.due(each, now=claim.now) for each in self._queued()):
            return transitions.accept(operation)
        return transitions.accept_and_claim(
            operation, worker=claim.worker, lease_until=claim.lease_until, now=claim.now
        )

    def _stone(self, operation_id: str) -> Tombstone | None:
        grave = self._graves.get(operation_id)
        return None if grave is None else grave.stone

    def _queued(self) -> Iterator[Operation]:
        return (each for each in self._operations.values() if each.status is Status.QUEUED)

    def _in_claim_order(self) -> list[Operation]:
        return sorted(self._queued(), key=_claim_order)

    def _write(self, change: Change) -> None:
        operation = change.operation
        self._operations[operation.id] = operation
        self._set_moment(operation)
        self._events.setdefault(operation.id, []).extend(change.events)
        self._unpublished.append(self._with_deliveries(change))

    def _bury(self, operation: Operation, *, reason: str, now: datetime) -> None:
        del self._operations[operation.id]
        del self._events[operation.id]
        self._bury_deliveries(operation.id)
        key = None
        if operation.idempotency_key is not None:
            key = (operation.owner, operation.kind, operation.idempotency_key)
        self._graves[operation.id] = _Grave(Tombstone(operation.id, operation.owner, reason), now, key)

    # --- telling the listeners ------------------------------------------------------------------------------

    def _publish(self) -> None:
        if self._loop is None or self._loop is asyncio.get_running_loop():
            self._call_listeners()
        else:
            self._loop.call_soon_threadsafe(self._call_listeners)

    def _call_listeners(self) -> None:
        with self._lock:
            changes, self._unpublished = self._unpublished, []
        if not changes:
            return
        for listener in self._listeners:
            try:
                listener(changes)
            except Exception:
                # The commit stands: a listener that fails must not make it look undone.
                logger.exception("A listener of the store failed; its reader falls back to reading the store")


@dataclass(frozen=True, slots=True)
class _Grave:
    stone: Tombstone
    since: datetime
    key: tuple[str, str, str] | None


def _claim_order(operation: Operation) -> tuple[int, datetime, str]:
    return -operation.priority, operation.run_at, operation.id


def _wanted(operation: Operation, claim: Claim) -> bool:
    named = claim.ids is None or operation.id in claim.ids
    return named and operation.kind in claim.kinds and (claim.queues is None or operation.queue in claim.queues)


def _expired(operation: Operation, now: datetime) -> bool:
    return operation.done and operation.expires_at is not None and operation.expires_at <= now


def _matches(operation: Operation, query: ListQuery) -> bool:
    return (
        (query.owner is None or operation.owner == query.owner)
        and (not query.statuses or operation.status in query.statuses)
        and (query.kind is None or operation.kind == query.kind)
        and all(operation.metadata.get(tag) == value for tag, value in query.tags.items())
        and (query.created_after is None or operation.created_at >= query.created_after)
        and (query.created_before is None or operation.created_at < query.created_before)
        and (query.before_id is None or operation.id < query.before_id)
    )


def _without_bytes(operation: Operation) -> Operation:
    result = operation.result and replace(operation.result, body=None)
    return replace(operation, input="{}", result=result)
