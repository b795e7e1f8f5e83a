"""The ports: what the roles need from stores, blobs, signals and executors.

Each contract is a list of numbered promises; ``raincheck.testing.conformance`` executes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
    from contextlib import AsyncExitStack
    from datetime import datetime, timedelta
    from pathlib import Path

    from raincheck.context import OperationContext
    from raincheck.core.deliveries import Attempt, Delivery, DeliveryStatus, Health, Message
    from raincheck.core.delivery_rules import Verdict
    from raincheck.core.endpoints import Endpoint
    from raincheck.core.events import Event
    from raincheck.core.operation import Operation, Problem, Status
    from raincheck.core.outcome import Outcome, Returned
    from raincheck.core.overview import Overview
    from raincheck.core.retry import Retry
    from raincheck.core.transitions import Change
    from raincheck.invocation import Invocation

# --- what the user declared -----------------------------------------------------------------------------------


class Binding(Protocol):
    """Turns a stored request into the arguments of one function, and its return value into bytes.

    1. ``arguments`` validates the stored request with the function's own signature, so the function gets what the
       request gave; a request that no longer fits raises ``InputMismatch``.
    2. ``resolve`` adds what exists only at the run: the context, a fresh ``Response``, ``WorkerDepends`` values whose
       clean-up is pushed on the stack. Sync dependencies run through ``run_sync``.
    3. ``render`` checks the value against the return annotation and gives bytes or a file; a value that does not match
       raises ``ResultMismatch`` (see ``raincheck.invocation``).
       ``render_blocks`` tells whether rendering this value copies files, so must stay off the event loop.
    4. ``explain`` gives the problem of an exception raised on purpose, None for any other.
    """

    async def arguments(self, stored: str, files: Mapping[str, Path]) -> dict[str, Any]: ...

    async def resolve(
        self,
        arguments: Mapping[str, Any],
        *,
        context: OperationContext,
        stack: AsyncExitStack,
        run_sync: Callable[..., Awaitable[Any]],
        app: object | None,
    ) -> dict[str, Any]: ...

    def render(self, value: object, arguments: Mapping[str, Any], *, staging: Path) -> Returned: ...

    def render_blocks(self, value: object) -> bool: ...

    def explain(self, exception: BaseException) -> Problem | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One decorated function and how its operations run. ``name`` is durable: stored operations refer to it."""

    name: str
    function: Callable[..., Any]
    executor: str
    retry: Retry
    timeout: timedelta | None
    max_losses: int
    retention: timedelta
    memory_limit: int | None
    queue: str
    priority: int
    wait: timedelta
    binding: Binding


# --- the operation store --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """The submit was committed.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A worker's wish for operations of some kinds.

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


@dataclass(frozen=True, slots=True)
class Lease:
    """A run's hold on an operation."""

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
    2. ``adopt`` moves a local file in, durably.
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


# --- webhooks -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryClaim:
    """A courier's wish for due deliveries.

    :param webhooks: the configured URLs that it has secrets for; others wait for a process that has.
    :param callbacks: whether it may call the URLs of callers.
    :param room: how many it takes for each receiver (scheme, host and port) that ``rooms`` does not name.
    :param rooms: how many it takes for others, 0 or more.
    """

    worker: str
    webhooks: tuple[str, ...]
    callbacks: bool
    limit: int
    lease_until: datetime
    now: datetime
    room: int = 10
    rooms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryQuery:
    """A page of the delivery log, newest first."""

    statuses: tuple[DeliveryStatus, ...] = ()
    url: str | None = None
    before_id: str | None = None
    limit: int = 50


class DeliveryStore(Protocol):
    """Webhook deliveries, kept beside the operations they tell of.

    1. Every write of a change, whoever makes it, also writes the deliveries that ``with_deliveries`` makes of it for
       the endpoints that were set: in the same transaction, and listeners get them with the change.
    2. A new ``operation.progress`` takes the place of the operation's others for the same URL and source that nobody
       is sending, and keeps the due time of one that still waits; an end takes the place of waiting progress.
    3. ``lease_deliveries`` gives a due delivery to one courier only, as ``delivery_rules.lease`` says: for each
       receiver no more than it has room for, whatever waits at the others, and among receivers the longest due first.
    4. ``change_delivery`` holds the rows of the delivery and of its URL's health, calls the transition (pure) and
       writes both; what it raises reaches the caller and nothing is written. An unknown id raises ``KeyError``.
    5. An endpoint that becomes disabled pauses its pending deliveries, and new ones begin paused; enabled again, they
       are pending and due.
    6. Deleting or pruning an operation takes its deliveries along, also those under way.
    7. ``set_endpoints`` also keeps the endpoints with the data; ``adopt_endpoints`` takes those that were kept last, so
       that a command which cancels an operation without the application's configuration makes its deliveries too.
    """

    async def set_endpoints(self, endpoints: Sequence[Endpoint]) -> None: ...

    async def adopt_endpoints(self) -> None: ...

    async def lease_deliveries(self, claim: DeliveryClaim) -> list[Delivery]: ...

    async def change_delivery(
        self,
        delivery_id: str,
        transition: Callable[[Delivery, Health], Verdict | None],
    ) -> Verdict: ...

    async def change_endpoint(self, url: str, transition: Callable[[Health], Health]) -> Health: ...

    async def overdue_deliveries(self, now: datetime, *, limit: int = 500) -> Overdue:
        """Return leases that ran out, and what each courier holds; ``deadlines`` is empty."""
        ...

    async def get_delivery(self, delivery_id: str) -> Delivery | None: ...

    async def deliveries_of(self, operation_id: str) -> list[Delivery]:
        """Return an operation's deliveries, oldest first."""
        ...

    async def list_deliveries(self, query: DeliveryQuery) -> list[Delivery]: ...

    async def unhealthy_endpoints(self) -> list[Health]:
        """Return the health of every URL that failed last, by URL."""
        ...


class Deliverer(Protocol):
    """Sends webhooks.

    1. ``send`` makes one attempt, signed, to an address that was judged and then connected to; it never follows a
       redirect and never raises for what the URL, the network or the receiver did.
    2. One attempt takes at most 15 seconds and keeps at most 64 KiB of the answer, whatever the receiver does.
    """

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, message: Message) -> Attempt: ...


# --- executors ------------------------------------------------------------------------------------------------


class Executor(Protocol):
    """Runs functions here.

    1. ``run`` returns the outcome when the function has really ended, clean-up included, and never raises for what
       the function did.
    2. ``interrupt`` asks a run to stop: it sets ``context.cancelled``, then uses what force the executor has.
       A function that still returns normally gives ``Returned``. Interrupting an unknown or ended run does nothing.
    3. ``free`` is the number of runs that may start now; a run holds its slot until its function has really ended.
    4. ``stop`` ends what can be ended and returns within about two seconds.
    """

    name: str

    @property
    def slots(self) -> int: ...

    @property
    def free(self) -> int: ...

    async def start(self, kinds: Sequence[Kind]) -> None: ...

    async def stop(self) -> None: ...

    async def run(self, invocation: Invocation) -> Outcome: ...

    def interrupt(self, invocation: Invocation) -> None: ...
