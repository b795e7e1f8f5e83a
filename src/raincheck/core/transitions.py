"""THE rules: how an operation may change. Pure functions from a record to a change.

Each function takes the record as the store holds it at this moment, refuses what the rules forbid, and returns
the record that follows with the events to append. Stores call them inside one transaction that holds the row.

A write of a run names its run number; a run that no longer holds the operation gets ``LeaseLost``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from raincheck.core.errors import LeaseLost, OperationFinished, OperationNotFinished, OperationSucceeded
from raincheck.core.events import FIRST_START, Entry, Event, EventType, entry_data, status_data
from raincheck.core.moments import rfc3339
from raincheck.core.operation import Operation, Problem, Progress, Status, StoredResult, changed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from raincheck.core.deliveries import Delivery

DEADLINE_EXCEEDED = Problem(
    code="deadline-exceeded",
    title="The operation took longer than allowed",
    status=504,
    detail="The time limit of this operation passed before it finished. Submit it again with more time or less work.",
)
WORKER_LOST = Problem(
    code="worker-lost",
    title="The worker was lost",
    status=500,
    detail="The process that ran this operation died or was cut off, as often as is allowed. Submit it again.",
)
OUTPUT_TOO_LARGE = Problem(
    code="output-too-large",
    title="The operation emitted too much",
    status=500,
    detail="An operation may emit 1,000,000 events or 256 MiB. Return large data as a file result instead.",
)
CLOCK_TOLERANCE = timedelta(seconds=10)  # more than the clocks of well-kept machines differ
MAX_OUTPUT_EVENTS = 1_000_000
MAX_OUTPUT_BYTES = 256 << 20


class Change(NamedTuple):
    """What a transition decided. Nothing is to be written where ``operation`` is the record itself.

    ``follows`` is the version that the first event comes after. The store adds ``deliveries``: what
    ``delivery_rules.with_deliveries`` makes of the change for those who asked for webhooks.

    A named tuple, since every write makes one: a frozen dataclass takes three times as long to make.
    """

    operation: Operation
    follows: int
    events: tuple[Event, ...] = ()
    deliveries: tuple[Delivery, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return self.operation.version == self.follows


class OutputTooLarge(Exception):
    """The run emitted more than an operation may; the runner ends it with ``OUTPUT_TOO_LARGE``."""


# --- a worker takes and keeps the operation -----------------------------------------------------------------


def due(operation: Operation, *, now: datetime) -> bool:
    """Tell whether a queued operation may run now.

    A record that was written in the future tells that the clock has been set back. Then its ``run_at`` means nothing,
    and work would stand still until the clock has caught up; only what the caller scheduled goes on waiting.
    """
    if operation.run_at <= now:
        return True
    if operation.scheduled_for is not None and operation.scheduled_for > now:
        return False
    return operation.updated_at > now + CLOCK_TOLERANCE


def claim(operation: Operation, *, worker: str, lease_until: datetime, now: datetime) -> Change | None:
    """Give the operation to a worker as its next run; None unless it is queued and due."""
    if operation.status is not Status.QUEUED or not due(operation, now=now):
        return None
    taken = changed(
        operation,
        version=operation.version + 1,
        updated_at=now,
        status=Status.RUNNING,
        run=operation.run + 1,
        attempt=operation.attempt + 1,
        worker=worker,
        lease_until=lease_until,
        started_at=operation.started_at or now,
    )
    if taken.version == FIRST_START:  # read from the record (see core.events), so that it takes no row of its own
        return Change(taken, operation.version)
    return Change(taken, operation.version, (_status_event(taken),))


def accept(operation: Operation) -> Change:
    """Keep a new operation as queued."""
    return Change(operation, 0)


def accept_and_claim(operation: Operation, *, worker: str, lease_until: datetime, now: datetime) -> Change:
    """Keep a new operation and give it to a worker at once: versions 1 and 2 in one change.

    What is not due yet is kept as queued.
    """
    claimed = claim(operation, worker=worker, lease_until=lease_until, now=now)
    return accept(operation) if claimed is None else Change(claimed.operation, 0, claimed.events)


def renewable(operation: Operation, *, run: int) -> bool:
    """Tell whether a lease may be renewed: it names the current run of a held operation."""
    return operation.run == run and operation.status.held


def record(
    operation: Operation,
    *,
    run: int,
    entries: Sequence[Entry] = (),
    progress: Progress | None = None,
    now: datetime,
) -> Change:
    """Append output and log lines in order, then move the progress to the newest version.

    :raises LeaseLost: the run does not hold the operation.
    :raises OutputTooLarge: the operation may not emit any more.
    """
    _refuse_other_run(operation, run)
    if not entries and progress is None:
        return Change(operation, operation.version)
    version = operation.version
    told: dict[str, Any] = {}
    events: list[Event] = []
    size = operation.output_bytes
    for entry in entries:
        version += 1
        kind, data = entry_data(entry)
        events.append(Event(operation.id, version, run, kind, now, data))
        size += len(data)
    count = operation.output_events + len(events)
    if count > MAX_OUTPUT_EVENTS or size > MAX_OUTPUT_BYTES:
        raise OutputTooLarge
    if progress is not None:
        version += 1
        told = {"progress": progress, "progress_version": version, "progress_run": run, "progress_at": now}
    after = changed(operation, version=version, updated_at=now, output_events=count, output_bytes=size, **told)
    return Change(after, operation.version, tuple(events))


# --- a run ends -----------------------------------------------------------------------------------------------


def succeed(operation: Operation, *, run: int, result: StoredResult, now: datetime) -> Change:
    """Record the result. A normal return counts even while a cancel is under way."""
    _refuse_other_run(operation, run)
    return _finish(operation, Status.SUCCEEDED, now=now, result=result)


def fail(
    operation: Operation,
    *,
    run: int,
    error: Problem,
    traceback: str | None = None,
    retry_at: datetime | None = None,
    now: datetime,
) -> Change:
    """Record a failure of the code: another attempt at ``retry_at`` while attempts are left, else the end.

    While a cancel is under way any failure ends as cancelled.
    """
    _refuse_other_run(operation, run)
    kept = traceback or operation.traceback
    if operation.status is Status.CANCELLING:
        return _finish(operation, Status.CANCELLED, now=now, traceback=kept)
    if retry_at is not None and operation.attempt < operation.max_attempts:
        return _requeue(operation, at=retry_at, now=now, traceback=kept)
    return _finish(operation, Status.FAILED, now=now, error=error, traceback=kept)


def retry_later(operation: Operation, *, run: int, at: datetime, now: datetime) -> Change:
    """Queue the operation again on the function's own wish; the attempt is not counted."""
    _refuse_other_run(operation, run)
    return _give_back(operation, at=at, now=now)


def release(operation: Operation, *, run: int, now: datetime) -> Change:
    """Hand the lease back because the worker drains; the attempt is not counted, and its place in line is kept.

    What was claimed had been due, so it is due again at once, also if the clock was set back meanwhile.
    """
    _refuse_other_run(operation, run)
    return _give_back(operation, at=min(operation.run_at, now), now=now)


# --- the reaper decides ---------------------------------------------------------------------------------------


def lose(operation: Operation, *, run: int, now: datetime) -> Change:
    """Take the operation from a worker that is dead or out of reach.

    Not counted as an attempt. The run that makes ``max_losses`` losses ends the operation as ``worker-lost``.
    """
    _refuse_other_run(operation, run)
    if operation.status is Status.CANCELLING:
        return _finish(operation, Status.CANCELLED, now=now)
    losses = operation.losses + 1
    if losses >= operation.max_losses:
        return _finish(operation, Status.FAILED, now=now, error=WORKER_LOST, losses=losses)
    return _give_back(operation, at=min(operation.run_at, now), now=now, losses=losses)


def expire_lease(operation: Operation, *, run: int, now: datetime) -> Change | None:
    """Take the operation from a worker that let its lease run out; None while the lease holds."""
    if operation.lease_until is None or operation.lease_until > now:
        return None
    return lose(operation, run=run, now=now)


def expire_deadline(operation: Operation, *, now: datetime) -> Change | None:
    """Fail an operation whose deadline passed; None where none has. A cancel under way outranks it."""
    if operation.deadline_at is None or operation.deadline_at > now:
        return None
    if operation.status not in {Status.QUEUED, Status.RUNNING}:
        return None
    return _finish(operation, Status.FAILED, now=now, error=DEADLINE_EXCEEDED)


# --- the caller decides ---------------------------------------------------------------------------------------


def request_cancel(operation: Operation, *, now: datetime) -> Change:
    """Cancel what is queued, ask what is running to stop; asking again changes nothing.

    :raises OperationFinished: it has succeeded or failed.
    """
    match operation.status:
        case Status.QUEUED:
            return _finish(operation, Status.CANCELLED, now=now, cancel_requested_at=now)
        case Status.RUNNING:
            return _status_change(operation, now=now, status=Status.CANCELLING, cancel_requested_at=now)
        case Status.CANCELLING | Status.CANCELLED:
            return Change(operation, operation.version)
        case Status.SUCCEEDED | Status.FAILED:
            detail = f"The operation has already {operation.status.value}; there is nothing left to cancel."
            raise OperationFinished(detail, operation_id=operation.id)


def refuse_delete(operation: Operation) -> None:
    """Allow deleting only what is finished.

    :raises OperationNotFinished: it is still under way.
    """
    if not operation.done:
        detail = f"The operation is {operation.status.value}. Cancel it or wait until it is done, then delete it."
        raise OperationNotFinished(detail, operation_id=operation.id)


def refuse_rerun(operation: Operation) -> None:
    """Allow running again only what failed or was cancelled.

    :raises OperationNotFinished: it is still under way.
    :raises OperationSucceeded: it has succeeded.
    """
    if operation.status is Status.SUCCEEDED:
        detail = "The operation has succeeded; submit a new one to run it once more."
        raise OperationSucceeded(detail, operation_id=operation.id)
    if not operation.done:
        detail = f"The operation is {operation.status.value}; only a failed or cancelled one can be retried."
        raise OperationNotFinished(detail, operation_id=operation.id)


# --- shared steps ---------------------------------------------------------------------------------------------


def _refuse_other_run(operation: Operation, run: int) -> None:
    if not renewable(operation, run=run):
        msg = (
            f"run {run} of {operation.id} no longer holds it: the operation is {operation.status.value} "
            f"in run {operation.run}. The work is stopped and its outcome dropped."
        )
        raise LeaseLost(msg)


def _give_back(operation: Operation, *, at: datetime, now: datetime, **changes: Any) -> Change:
    """Queue again without counting the attempt; what is being cancelled ends instead."""
    if operation.status is Status.CANCELLING:
        return _finish(operation, Status.CANCELLED, now=now)
    return _requeue(operation, at=at, now=now, attempt=operation.attempt - 1, **changes)


def _requeue(operation: Operation, *, at: datetime, now: datetime, **changes: Any) -> Change:
    return _status_change(
        operation,
        now=now,
        status=Status.QUEUED,
        run_at=at,
        worker=None,
        lease_until=None,
        **changes,
    )


def _status_change(before: Operation, *, now: datetime, **changes: Any) -> Change:
    after = changed(before, version=before.version + 1, updated_at=now, **changes)
    return Change(after, before.version, (_status_event(after),))


def _status_event(after: Operation) -> Event:
    due = after.next_attempt_at
    data = status_data(after.status, attempt=after.attempt, next_attempt_at=None if due is None else rfc3339(due))
    return Event(after.id, after.version, after.run, EventType.STATUS, after.updated_at, data)


def _finish(operation: Operation, status: Status, *, now: datetime, **changes: Any) -> Change:
    finished = changed(
        operation,
        status=status,
        version=operation.version + 1,
        updated_at=now,
        finished_at=now,
        expires_at=now + operation.retention,
        worker=None,
        lease_until=None,
        **changes,
    )
    return Change(finished, operation.version)
