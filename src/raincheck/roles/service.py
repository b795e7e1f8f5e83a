"""What a caller can ask for: submit, look, wait, cancel, retry, delete, list."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from raincheck.core import names, transitions
from raincheck.core.errors import (
    Draining,
    IdempotencyKeyReused,
    OperationDeleted,
    OperationExpired,
    OperationNotFound,
    QueueFull,
    StoreUnavailable,
)
from raincheck.core.moments import EPOCH, milliseconds
from raincheck.core.operation import Operation, Status, changed
from raincheck.ports import Accepted, KeyConflict, Replayed, Tombstone
from raincheck.telemetry.telemetry import UNWATCHED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from raincheck.core.endpoints import Callback
    from raincheck.core.trace_context import TraceContext
    from raincheck.ports import BlobStore, ListQuery, OperationStore
    from raincheck.ports_functions import Kind
    from raincheck.roles.claimer import Claimer
    from raincheck.roles.durations import Durations
    from raincheck.roles.tail import Tail, Watcher
    from raincheck.telemetry.telemetry import Telemetry

_RECOUNT = 0.1
_KEPT_AT_LEAST = timedelta(hours=24)


@dataclass(slots=True, kw_only=True)
class Submission:
    """What a request asks for, validated.

    :param trace: what its headers say; the caller's current span goes before it.
    """

    id: str
    kind: Kind
    owner: str
    input: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    timeout: timedelta | None = None
    not_before: datetime | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    rerun_of: Operation | None = None
    callback: Callback | None = None
    trace: TraceContext | None = None


class Service:
    """Serves callers. An ``owner`` of None is the operator, who may see everything.

    ``claimer`` is set while this process runs work: then what is accepted may start in the same transaction.

    :param new_id: returns a fresh id for milliseconds since 1970.
    :param max_queued: how many operations may wait; the count is at most 0.1 s old when it refuses.
    """

    def __init__(
        self,
        *,
        store: OperationStore,
        blobs: BlobStore,
        tail: Tail,
        durations: Durations,
        kinds: Mapping[str, Kind],
        clock: Callable[[], datetime],
        new_id: Callable[[int], str],
        max_queued: int,
        telemetry: Telemetry = UNWATCHED,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._tail = tail
        self._durations = durations
        self._kinds = kinds
        self._clock = clock
        self._new_id = new_id
        self._max_queued = max_queued
        self._tracing = telemetry.tracing
        self._queued_at_most = 0
        self._counted_at = float("-inf")
        self._counting = asyncio.Lock()
        self._drafts: dict[str, Operation] = {}
        self.draining = False
        self.claimer: Claimer | None = None

    def new_id(self) -> str:
        """Return a fresh operation id, so that files can be stored under it before the submit."""
        return self._new_id(milliseconds(self._clock()))

    async def submit(self, submission: Submission) -> Accepted | Replayed:
        """Make an operation durable, or find the one its idempotency key belongs to.

        :raises Draining: this process is shutting down.
        :raises QueueFull: too many operations wait.
        :raises IdempotencyKeyReused: the key came with a different request before.
        :raises OperationDeleted: the key's operation was deleted.
        """
        with self._tracing.submitting(
            submission.kind.name, given=submission.trace, rerun_of=submission.rerun_of
        ) as span:
            if self.draining or self._queued_at_most >= self._max_queued:
                await self.check_room()
            accepted = await self._submit(submission, self._operation(submission, span.context))
            span.submitted(accepted.operation, replayed=isinstance(accepted, Replayed))
            return accepted

    async def _submit(self, submission: Submission, operation: Operation) -> Accepted | Replayed:
        claimer = self.claimer
        claim = None if claimer is None else claimer.offer(operation)
        try:
            submitted = await self._store.submit(operation, claim=claim)
        finally:
            if claimer is not None and claim is not None:
                claimer.settle(operation)
        match submitted:
            case Accepted(begun=begun):
                self._queued_at_most += begun is None
                return submitted
            case Replayed():
                return submitted
            case KeyConflict(operation=operation):
                detail = (
                    f"The key {submission.idempotency_key!r} was used with a different request. "
                    "Use a new key for a new request."
                )
                # Without an owner rule the id is all that lets its holder in, and a key may be guessed.
                raise IdempotencyKeyReused(detail, operation_id=operation.id if submission.owner else None)
            case Tombstone():
                raise _gone(submitted)

    def _operation(self, submission: Submission, trace: TraceContext | None) -> Operation:
        now = self._clock()
        return changed(
            self._drafts.get(submission.kind.name) or self._draft(submission.kind),
            id=submission.id,
            owner=submission.owner,
            created_at=now,
            updated_at=now,
            run_at=submission.not_before or now,
            scheduled_for=submission.not_before,
            deadline_at=None if submission.timeout is None else now + submission.timeout,
            metadata=submission.metadata,
            rerun_of=None if submission.rerun_of is None else submission.rerun_of.id,
            idempotency_key=submission.idempotency_key,
            fingerprint=submission.fingerprint,
            callback=submission.callback,
            trace=trace,
            input=submission.input,
        )

    def _draft(self, kind: Kind) -> Operation:
        """Return what all operations of a kind have in common; copying it takes a fifth of making one."""
        draft = self._drafts[kind.name] = Operation(
            id="",
            kind=kind.name,
            max_attempts=kind.retry.attempts,
            max_losses=kind.max_losses,
            queue=kind.queue,
            priority=kind.priority,
            created_at=EPOCH,
            updated_at=EPOCH,
            run_at=EPOCH,
            retention=max(kind.retention, _KEPT_AT_LEAST),
        )
        return draft

    async def check_room(self) -> None:
        """Refuse what cannot be accepted now; call it before files are stored.

        :raises Draining: this process is shutting down.
        :raises QueueFull: too many operations wait.
        """
        if self.draining:
            detail = "This server is shutting down and accepts nothing new. Send the request again."
            raise Draining(detail, retry_after=1)
        if self._queued_at_most < self._max_queued:
            return
        async with self._counting:  # who comes meanwhile is judged by this count, and not by the bound before it
            if time.monotonic() - self._counted_at >= _RECOUNT:
                self._queued_at_most = await self._store.queue_depth(limit=self._max_queued)
                self._counted_at = time.monotonic()
        if self._queued_at_most >= self._max_queued:
            detail = f"{self._max_queued} operations are waiting, which is the limit. Try again later."
            raise QueueFull(detail, retry_after=5)

    # --- looking --------------------------------------------------------------------------------------------------

    async def get(self, operation_id: str, *, owner: str | None) -> Operation:
        """Return an operation that the caller owns.

        :raises OperationNotFound: unknown, malformed, or another owner's id.
        :raises OperationDeleted: the owner deleted it.
        :raises OperationExpired: its retention has passed.
        """
        found = await self._store.get(operation_id) if names.is_operation_id(operation_id) else None
        if found is None or (owner is not None and found.owner != owner):
            raise not_found(operation_id)
        if isinstance(found, Tombstone):
            raise _gone(found)
        self._durations.observe(found)
        return found

    async def wait(
        self,
        operation_id: str,
        *,
        owner: str | None,
        seconds: float,
        after: int | None = None,
    ) -> Operation:
        """Return the operation once it is done, or once its version is above ``after``; on time-out as it is.

        A waiting caller costs no thread and no query of its own; a drain ends the wait early.
        """
        with self._tail.watch(operation_id) as watcher:
            operation = await self.get(operation_id, owner=owner)
            return await self.wait_on(watcher, operation, seconds=seconds, after=after)

    def watch(self, operation_id: str) -> Watcher:
        """Watch an operation before it is submitted, so that no change is missed."""
        return self._tail.watch(operation_id)

    async def wait_on(
        self,
        watcher: Watcher,
        operation: Operation,
        *,
        seconds: float,
        after: int | None = None,
    ) -> Operation:
        """Wait with a watcher that was registered before the operation was read."""
        deadline = asyncio.get_running_loop().time() + seconds
        newest = operation
        while True:
            # What was committed while the record was read woke nobody: look before each wait, and never go back.
            if watcher.newest is not None and watcher.newest.version > newest.version:
                newest = watcher.newest
            if newest.done or (after is not None and newest.version > after):
                break
            if self._tail.draining or not await watcher.wait(deadline):
                break
        if watcher.newest is not None and watcher.newest.version > newest.version:
            newest = watcher.newest
        self._durations.observe(newest)
        return newest

    async def queue_position(self, operation: Operation) -> int | None:
        """Return how many operations go first; None unless it is queued."""
        if operation.status is not Status.QUEUED:
            return None
        return await self._store.queue_position(operation)

    def poll_after(self, operation: Operation) -> timedelta:
        """Return the advice to pollers, from what operations of the kind usually take."""
        return self._durations.poll_after(operation, clock=self._clock)

    async def list_page(self, query: ListQuery) -> list[Operation]:
        """Return a page of operations, newest first."""
        return await self._store.list_page(query)

    # --- changing -------------------------------------------------------------------------------------------------

    async def cancel(self, operation_id: str, *, owner: str | None) -> Operation:
        """Cancel what is queued, ask what runs to stop.

        :raises OperationFinished: it has succeeded or failed.
        """
        await self.get(operation_id, owner=owner)
        try:
            return await self._store.change(
                operation_id,
                lambda found: transitions.request_cancel(found, now=self._clock()),
            )
        except KeyError:  # it went between the look and the write; another look says how
            return await self.get(operation_id, owner=owner)

    async def rerun(
        self,
        operation_id: str,
        *,
        owner: str | None,
        idempotency_key: str | None,
    ) -> Accepted | Replayed:
        """Submit the same request again as a new operation.

        :raises OperationNotFinished: it is still under way.
        :raises OperationSucceeded: it has succeeded.
        """
        former = await self.get(operation_id, owner=owner)
        transitions.refuse_rerun(former)
        kind = self._kinds.get(former.kind)
        if kind is None:
            detail = f"This server does not know the kind {former.kind!r}. Deploy the code that defines it, then retry."
            raise StoreUnavailable(detail, operation_id=operation_id)
        submission = Submission(
            id=self.new_id(),
            kind=kind,
            owner=former.owner,
            input=former.input,
            metadata=former.metadata,
            idempotency_key=idempotency_key,
            fingerprint=None if idempotency_key is None else f"rerun:{former.id}",
            rerun_of=former,
            callback=former.callback,
        )
        await self.check_room()
        await self._blobs.link_inputs(former.id, submission.id)
        submitted = await self.submit(submission)
        if isinstance(submitted, Replayed):
            await self._blobs.remove_operations([submission.id])
        return submitted

    async def delete(self, operation_id: str, *, owner: str | None) -> None:
        """Delete a finished operation; its id answers 410 from now on.

        :raises OperationNotFinished: it is still under way.
        """
        await self.get(operation_id, owner=owner)
        try:
            await self._store.delete(operation_id, check=transitions.refuse_delete, now=self._clock())
        except KeyError:  # it went between the look and the write; another look says how
            await self.get(operation_id, owner=owner)
        await self._blobs.remove_operations([operation_id])


def not_found(operation_id: str) -> OperationNotFound:
    """Return the one answer for unknown, malformed and foreign ids."""
    del operation_id  # never repeated to the caller: it may be anything
    return OperationNotFound("No operation of yours has this id. Check the id, or submit the request again.")


def _gone(tombstone: Tombstone) -> OperationDeleted | OperationExpired:
    if tombstone.reason == "deleted":
        return OperationDeleted("The operation was deleted. Submit the request again.", operation_id=tombstone.id)
    detail = "The operation was finished and its retention has passed. Submit the request again."
    return OperationExpired(detail, operation_id=tombstone.id)
