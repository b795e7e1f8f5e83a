"""Writes how a run ended: the outcome becomes a fenced transition, with what the journal still holds."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING

from raincheck.core import transitions
from raincheck.core.errors import LeaseLost, StorageFull, StoreUnavailable
from raincheck.core.operation import Operation, Problem, Status, StoredResult
from raincheck.core.outcome import AskedToRetry, Died, Interrupted, Outcome, Raised, Returned
from raincheck.core.retry import Backoff
from raincheck.core.transitions import Change
from raincheck.invocation import UNHANDLED_ERROR, shown_traceback

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from raincheck.core.events import Entry
    from raincheck.core.operation import Progress
    from raincheck.ports import BlobStore, Lease, OperationStore
    from raincheck.ports_functions import Kind

logger = logging.getLogger("raincheck.run")
_INLINE = 64 << 10
_PATIENCE = 0.2
_LONGEST_PATIENCE = 2.0


class OutcomeWriter:
    """Decides the transition of an outcome and writes it; a store that is away is waited for.

    :param chance: a random number in [0, 1) for the jitter of retries.
    """

    def __init__(
        self,
        *,
        store: OperationStore,
        blobs: BlobStore,
        clock: Callable[[], datetime],
        chance: Callable[[], float],
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._chance = chance

    async def write(
        self,
        lease: Lease,
        kind: Kind,
        outcome: Outcome,
        *,
        rest: tuple[list[Entry], Progress | None],
        draining: bool,
    ) -> Operation | None:
        """Record an outcome and return the record. A lease that is lost by now drops it, with a line in the log.

        One that cannot be written as it is fails the operation: its lease would run out, and the function run again.
        """
        _log_failure(lease, outcome)
        try:
            return await self._write(lease, kind, outcome, rest=rest, draining=draining)
        except transitions.OutputTooLarge:
            return await self.output_too_large(lease)
        except Exception as error:  # noqa: BLE001 - whatever it is, it would be the same after the next run
            return await self.unwritable(lease, error)

    async def _write(
        self,
        lease: Lease,
        kind: Kind,
        outcome: Outcome,
        *,
        rest: tuple[list[Entry], Progress | None],
        draining: bool,
    ) -> Operation | None:
        result = await self._store_result(lease, outcome) if isinstance(outcome, Returned) else None
        chance = self._chance()

        def transition(operation: Operation) -> Change:
            now = self._clock()
            entries, progress = rest
            told = transitions.record(operation, run=lease.run, entries=entries, progress=progress, now=now)
            ended = self._decide(told.operation, lease.run, kind, outcome, result, draining, chance, now)
            return Change(ended.operation, operation.version, (*told.events, *ended.events))

        return await self._patiently(lease, transition)

    def _decide(  # noqa: PLR0911 - one return for each outcome
        self,
        operation: Operation,
        run: int,
        kind: Kind,
        outcome: Outcome,
        result: StoredResult | None,
        draining: bool,  # noqa: FBT001
        chance: float,
        now: datetime,
    ) -> Change:
        match outcome:
            case Returned() if result is not None:
                return transitions.succeed(operation, run=run, result=result, now=now)
            case _ if draining:
                return transitions.release(operation, run=run, now=now)
            case AskedToRetry(after=after):
                return transitions.retry_later(operation, run=run, at=now + after, now=now)
            case Raised(error=error, retryable=retryable, traceback=trace):
                retry_at = now + _wait(kind, operation.attempt, chance=chance) if retryable else None
                return transitions.fail(operation, run=run, error=error, traceback=trace, retry_at=retry_at, now=now)
            case Died():
                return transitions.lose(operation, run=run, now=now)
            case _ if operation.status is Status.CANCELLING:
                return transitions.release(operation, run=run, now=now)
            case _:
                # The code cancelled itself: nobody had asked it to stop.
                return transitions.fail(operation, run=run, error=UNHANDLED_ERROR, now=now)

    async def time_out(self, lease: Lease) -> bool:
        """Fail the run because its time limit passed; False when it is being cancelled, which outranks the limit."""
        cancelling = False

        def transition(operation: Operation) -> Change | None:
            nonlocal cancelling
            cancelling = operation.run == lease.run and operation.status is Status.CANCELLING
            if operation.run != lease.run or operation.status is not Status.RUNNING:
                return None
            error = transitions.DEADLINE_EXCEEDED
            return transitions.fail(operation, run=lease.run, error=error, now=self._clock())

        await self._patiently(lease, transition)
        return not cancelling

    async def output_too_large(self, lease: Lease) -> Operation | None:
        """Fail the run because it emitted more than an operation may."""
        return await self._fail(lease, transitions.OUTPUT_TOO_LARGE)

    async def unwritable(self, lease: Lease, error: Exception) -> Operation | None:
        """Fail the run because what it told or returned cannot be written."""
        logger.error("what run %d of %s left cannot be written; it fails", lease.run, lease.id, exc_info=error)
        return await self._fail(lease, UNHANDLED_ERROR, shown_traceback(error))

    async def _fail(self, lease: Lease, error: Problem, trace: str | None = None) -> Operation | None:
        return await self._patiently(
            lease,
            lambda operation: transitions.fail(
                operation, run=lease.run, error=error, traceback=trace, now=self._clock()
            ),
        )

    async def _patiently(self, lease: Lease, transition: Callable[[Operation], Change | None]) -> Operation | None:
        """Write once the store is there; meanwhile the heartbeat keeps the lease, and the fence decides.

        Returns the record as written; None where the run held it no more.
        """
        pause = _PATIENCE
        while True:
            try:
                return await self._store.change(lease.id, transition)
            except (StoreUnavailable, StorageFull):
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PATIENCE, pause * 2)
            except LeaseLost as lost:
                logger.info("%s", lost)
                return None
            except KeyError:
                logger.info("%s was deleted while it ran; its outcome is dropped", lease.id)
                return None

    async def _store_result(self, lease: Lease, returned: Returned) -> StoredResult:
        fields = {
            "status_code": returned.status_code,
            "media_type": returned.media_type,
            "headers": returned.headers,
        }
        if returned.file is None:
            body = returned.body or b""
            if len(body) <= _INLINE:
                etag = hashlib.sha256(body).hexdigest()[:32]
                return StoredResult(**fields, body=body, size=len(body), etag=etag)  # type: ignore[arg-type]
        blob_name = f"{lease.id}/{lease.run}/result"
        pause = _PATIENCE
        while True:
            try:
                if returned.file is None:
                    blob = await self._blobs.put(blob_name, _once(returned.body or b""))
                else:
                    blob = await self._blobs.adopt(blob_name, returned.file)
            except (StoreUnavailable, StorageFull):
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PATIENCE, pause * 2)
            else:
                return StoredResult(**fields, blob=blob.name, size=blob.size, etag=blob.sha256[:32])  # type: ignore[arg-type]


def _wait(kind: Kind, failures: int, *, chance: float) -> timedelta:
    """Return how long to wait after a failure; a ``backoff`` of the application's own may raise anything."""
    try:
        return kind.retry.wait(failures, chance=chance)
    except Exception:
        logger.exception(
            "Retry(backoff=...) of %r gives no usable number of seconds; the default takes its place", kind.name
        )
        return Backoff().wait(failures, chance=chance)


async def _once(body: bytes):  # type: ignore[no-untyped-def]  # noqa: ANN202
    yield body


def _log_failure(lease: Lease, outcome: Outcome) -> None:
    match outcome:
        case Raised(traceback=str() as trace, error=Problem(code="unhandled-error")):
            logger.error("run %d of %s failed\n%s", lease.run, lease.id, trace.rstrip())
        case Raised(error=error):
            logger.warning("run %d of %s failed: %s: %s", lease.run, lease.id, error.code, error.detail or error.title)
        case Died(reason=reason):
            logger.error("run %d of %s died: %s", lease.run, lease.id, reason)
        case Interrupted() | AskedToRetry() | Returned():
            return
