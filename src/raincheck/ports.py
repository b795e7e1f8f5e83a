"""The ports: what the roles need from stores, blobs and signals. Functions, deliveries and engines have own files.

Each contract is a list of numbered promises; ``raincheck.testing.conformance`` executes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    from raincheck.core.events import Event
    from raincheck.core.operation import Operation, Status
    from raincheck.core.overview import Overview
    from raincheck.core.transitions import Change

# --- the operation store --------------------------------------------------------------------------------------


class Accepted(NamedTuple):
    """The submit was committed. A named tuple, since every submit makes one (as ``Change``).

    :param operation: the record as accepted, which the 202 shows.
    :param begun: the record as run 1 of the claim that came with the submit; None: it waits in the queue.
    """

    operation: Operation
    begun: Operation | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """The idempotency key belongs to this operation, submitted earlier with the same fingerprint."""

    operation: Operation


@dataclass(frozen=True, slots=True)
class KeyConflict:
    """The idempotency key belongs to an operation with another fingerprint."""

    operation: Operation


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is left of a deleted or expired operation, for its owner's 410."""

    id: str
    owner: str
    reason: str  # "deleted" or "expired"


Submitted = Accepted | Replayed | KeyConflict | Tombstone


class Claim(NamedTuple):
    """A worker's wish for operations of some kinds, made by names. A named tuple, since most submits bring one.

    :param queues: None: every queue.
    :param ids: which operations an engine has brought; None: those that go first.
    """

    worker: str
    kinds: tuple[str, ...]
    queues: tuple[str, ...] | None
    limit: int
    lease_until: datetime
    now: datetime
    ids: tuple[str, ...] | None = None


class Lease(NamedTuple):
    """A run's hold on an operation. A named tuple, since runs are looked up by it (its hash is made in C)."""

    id: str
    run: int


@dataclass(frozen=True, slots=True)
class Renewal:
    """What renewing found: leases that are gone, and runs that were asked to cancel."""

    lost: frozenset[Lease]
    cancelling: frozenset[Lease]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """A page of operations, newest first. ``owner`` None is the operator, who sees all."""

    owner: str | None
    statuses: tuple[Status, ...] = ()
    kind: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    created_after: datetime | None = None
    created_before: datetime | None = None
    before_id: str | None = None
    limit: int = 50


class OperationStore(Protocol):
    """Operations and their events, changed in one transaction.

    1. ``submit`` returns only after the operation is durable. One key conflict never fails another submit. With a
       claim, the operation is accepted and claimed in one transaction, unless something that waits for the same kinds
       and queues would go before it: then it waits too. Both versions reach the listeners as one change.
    2. ``claim`` gives an operation to one worker only, best priority first, then longest due; each claim raises
       ``run``.
    3. ``change`` holds the row, calls the transition (pure; it may run in another thread) and writes its record and
       events together; what the transition raises reaches the caller and nothing is written.
       An unknown id raises ``KeyError``. A ``None`` or empty change writes nothing and returns the record as it is.
    4. ``renew`` extends exactly the leases whose run still holds the operation; it may be called from any thread's
       event loop, and goes before other waiting writes.
    5. After each commit the listeners get all its changes, in the loop that opened the store, in version order.
    6. A full disk raises ``StorageFull``, anything else that passes by itself ``StoreUnavailable``; nothing was
       written.
    """

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def subscribe(self, listener: Callable[[Sequence[Change]], None]) -> None: ...

    async def submit(self, operation: Operation, *, claim: Claim | None = None) -> Submitted: ...

    async def get(self, operation_id: str) -> Operation | Tombstone | None: ...

    async def claim(self, claim: Claim) -> list[Operation]: ...

    async def renew(self, leases: Sequence[Lease], *, lease_until: datetime) -> Renewal: ...

    async def change(self, operation_id: str, transition: Callable[[Operation], Change | None]) -> Operation: ...

    async def cancelling(self, worker: str) -> list[Lease]:
        """Return the runs of a worker that were asked to cancel."""
        ...

    async def overdue(self, now: datetime, *, limit: int = 500) -> Overdue:
        """Return what the reaper must look at."""
        ...

    async def list_page(self, query: ListQuery) -> list[Operation]:
        """Return operations without input and result bytes."""
        ...

    async def queue_position(self, operation: Operation) -> int | None:
        """Return how many queued operations go first, None when there are more than 1,000."""
        ...

    async def queue_depth(self, *, limit: int) -> int:
        """Return the number of queued operations, counting to the limit at most."""
        ...

    async def known(self, operation_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that have a record."""
        ...

    async def delete(self, operation_id: str, *, check: Callable[[Operation], None], now: datetime) -> None:
        """Replace a record that passes the check by a tombstone. An unknown id raises KeyError."""
        ...

    async def prune(self, now: datetime, *, limit: int = 500) -> list[str]:
        """Replace expired operations by tombstones, drop old tombstones; return the ids that went."""
        ...


@dataclass(frozen=True, slots=True)
class Overdue:
    """Work for the reaper."""

    expired_leases: tuple[Lease, ...]
    deadlines: tuple[str, ...]
    holders: Mapping[str, tuple[Lease, ...]]  # worker -> what it holds


class EventStore(Protocol):
    """Reading the log.

    1. ``events_after`` returns, for each id that exists, its record and all events above the cursor, in order, the
       record's own events included (see ``core.events.history``), read at one moment.
    2. At most about ``limit`` stored events come for each id; asked again from the last version, the portions joined
       give the whole log.
    """

    async def versions(self, operation_ids: Sequence[str]) -> dict[str, int]:
        """Return the versions of those of the operations that exist."""
        ...

    async def changed_since(self, owner: str, moment: datetime, *, limit: int = 1000) -> list[Operation]:
        """Return an owner's operations that are unfinished or finished since a moment, and changed since it.

        Without inputs and result bytes, oldest change first.
        """
        ...

    async def events_after(
        self, cursors: Mapping[str, int], *, limit: int = 1000
    ) -> dict[str, tuple[Operation, list[Event]]]: ...


class OverviewStore(Protocol):
    """What the operator's page asks, apart from the store that serves: it reads much and must hold nothing up.

    1. ``overview`` counts at one moment. Of the window at most ``most`` finished operations are counted, the newest.
    2. ``held`` and ``changed_by_anyone`` give records without input and result bytes, whoever owns them.
    """

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def overview(self, *, now: datetime, since: datetime, bucket: timedelta, most: int = 100_000) -> Overview:
        """Count what is under way now, and what finished since a moment in buckets of a length."""
        ...

    async def held(self, *, limit: int = 1000) -> list[Operation]:
        """Return what workers hold, by worker and then by id."""
        ...

    async def changed_by_anyone(self, moment: datetime, *, limit: int = 1000) -> list[Operation]:
        """Return what has changed since a moment, as ``EventStore.changed_since`` does for one owner."""
        ...


@dataclass(frozen=True, slots=True)
class Ticket:
    """Lets its bearer read one operation's events; kept by digest."""

    digest: str
    operation: str
    owner: str
    until: datetime


class TicketStore(Protocol):
    """Tickets of event streams, known to every process.

    1. ``use`` gives the operation and owner of a ticket that has not run out, marks it used and sets its new end;
       one that was used before counts only when resuming. Two first uses at once: one of them gets None.
    2. ``end_use`` sets the end anew if the last use was the one that set it to ``given``: a stream that ends late
       takes nothing from the one that has resumed it.
    """

    async def issue(self, ticket: Ticket, *, now: datetime) -> None: ...

    async def use(self, digest: str, *, resuming: bool, now: datetime, until: datetime) -> tuple[str, str] | None: ...

    async def end_use(self, digest: str, *, given: datetime, until: datetime) -> None: ...


class BlobStore(Protocol):
    """Files of operations: uploads, large bodies, large results. Names are ``<operation>/<run>/<name>``.

    1. ``put`` is durable when it returns: written, hashed (SHA-256) and fsynced, not on the event loop.
    2. ``adopt`` moves a local file in, durably; one that is gone, or no regular file, raises ``ValueError``.
    3. ``local_path`` gives a path that can be read until the blob is removed.
    4. ``remove_operations`` forgets all blobs of the operations; unknown ids are no error.
    """

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> Blob: ...

    async def adopt(self, name: str, file: Path) -> Blob: ...

    async def local_path(self, name: str) -> Path: ...

    async def link_inputs(self, former_id: str, operation_id: str) -> None:
        """Give a new operation the input files of a former one, which may then be removed."""
        ...

    async def remove_operations(self, operation_ids: Sequence[str]) -> None: ...

    async def sweep(
        self,
        known: Callable[[Sequence[str]], Awaitable[Collection[str]]],
        *,
        older_than: datetime,
    ) -> list[str]:
        """Remove files of submits that were never committed; ``known`` tells which ids the store holds."""
        ...

    def staging(self, operation_id: str, run: int) -> Path:
        """Return a folder on the same file system where a run may leave files to adopt."""
        ...


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored file."""

    name: str
    size: int
    sha256: str


# --- who is alive, what is new --------------------------------------------------------------------------------


class Liveness(Protocol):
    """Which worker processes live, known at once on one machine.

    1. From ``enter`` until ``leave`` or the death of this process, ``is_dead(worker)`` is False elsewhere.
    2. ``is_dead`` is True only for a worker whose process has certainly ended; False whenever in doubt.
    """

    def enter(self, worker: str) -> None: ...

    def leave(self) -> None: ...

    def is_dead(self, worker: str) -> bool: ...

    def workers(self) -> list[str]:
        """Return the workers of which there are traces, live and dead."""
        ...

    def forget(self, worker: str) -> None:
        """Drop the traces of a dead worker that holds nothing any more."""
        ...


class Signals(Protocol):
    """Lossy hints from other processes that something was written. A deaf implementation only costs time."""

    async def start(self, notice: Callable[[], None]) -> None: ...

    async def stop(self) -> None: ...
