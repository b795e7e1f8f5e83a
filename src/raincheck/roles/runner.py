"""Runs claimed operations: executor, outcome, fenced write."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from raincheck.context import OperationContext
from raincheck.core import transitions
from raincheck.core.errors import ExecutorError, LeaseLost, StorageFull, StoreUnavailable
from raincheck.core.operation import Operation, Status
from raincheck.core.outcome import AskedToRetry, Interrupted, Outcome
from raincheck.invocation import Invocation
from raincheck.logs import run_logging
from raincheck.ports import Lease
from raincheck.roles.journal import Journal
from raincheck.roles.run import Run, StopReason
from raincheck.roles.run_watch import watched
from raincheck.telemetry.telemetry import UNWATCHED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from raincheck.core.events import Entry
    from raincheck.core.operation import Progress
    from raincheck.core.transitions import Change
    from raincheck.ports import BlobStore, OperationStore, Renewal
    from raincheck.ports_functions import Executor, Kind
    from raincheck.roles.handover import Handover
    from raincheck.roles.outcomes import OutcomeWriter
    from raincheck.telemetry.telemetry import Telemetry

logger = logging.getLogger("raincheck.run")
_THREAD_PATIENCE = 0.3  # the executor gives threads another second when it stops
_STOP_PATIENCE = 1.5  # a child has a second to clean up before it is killed
_BREATH = timedelta(seconds=1)


class Runner:
    """Owns the runs of this process.

    :param ended: called whenever a run has ended and its slot is free.
    """

    def __init__(
        self,
        *,
        store: OperationStore,
        blobs: BlobStore,
        kinds: Mapping[str, Kind],
        executors: Mapping[str, Executor],
        handover: Handover,
        outcomes: OutcomeWriter,
        clock: Callable[[], datetime],
        max_result: int,
        app: object | None,
        ended: Callable[[], None],
        telemetry: Telemetry = UNWATCHED,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._kinds = kinds
        self._executors = executors
        self._handover = handover
        self._outcomes = outcomes
        self._clock = clock
        self._max_result = max_result
        self._app = app
        self._ended = ended
        self._telemetry = telemetry
        self._tasks: set[asyncio.Task[None]] = set()
        self._preparing: Counter[str] = Counter()
        self._early: dict[Lease, StopReason | None] = {}  # runs without a function yet, and why they are to stop
        self._interrupting = False
        self.runs: dict[Lease, Run] = {}

    def start(self, operation: Operation) -> asyncio.Task[None]:
        """Begin a claimed operation's run, and return its task."""
        kind = self._kinds[operation.kind]
        lease = Lease(operation.id, operation.run)
        self._preparing[kind.executor] += 1
        self._early[lease] = None
        running = self._run(lease, operation, kind)
        task = asyncio.get_running_loop().create_task(running, name=f"raincheck-{operation.id}")
        self._tasks.add(task)
        task.add_done_callback(self._ran)
        return task

    def _ran(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        _report(task)

    def room(self, executor: str) -> int:
        """Return how many runs of an executor may be claimed: its free slots, less those that are about to be taken."""
        return self._executors[executor].free - self._preparing[executor]

    @property
    def held(self) -> list[Lease]:
        """The leases of all runs, of those that are being prepared too; safe to ask for in another thread."""
        return list(dict.fromkeys([*list(self._early), *list(self.runs)]))

    async def _run(self, lease: Lease, operation: Operation, kind: Kind) -> None:
        try:
            run = await self._prepared(lease, operation, kind)
            if run is None:
                await self._outcomes.write(
                    lease, kind, AskedToRetry(after=_BREATH), rest=([], None), draining=self._interrupting
                )
            else:
                self.runs[lease] = run
                await self._to_the_end(run, self._early.pop(lease))
        finally:
            self._early.pop(lease, None)
            self._ended()

    async def _prepared(self, lease: Lease, operation: Operation, kind: Kind) -> Run | None:
        """Return the run; None where its files cannot be had now, which is neither its fault nor a lost worker."""
        try:
            return await self._prepare(lease, operation, kind)
        except (StoreUnavailable, StorageFull, OSError) as error:
            logger.warning("%s could not be prepared here and is queued again: %r", operation.id, error)
            return None
        finally:
            self._preparing[kind.executor] -= 1

    async def _to_the_end(self, run: Run, asked: StopReason | None) -> None:
        """Run the function and write its outcome.

        :param asked: why it was to stop before it could be told.
        """
        run.task = asyncio.current_task()
        try:
            with run_logging(run.invocation.context), watched(run, self._telemetry) as watch:
                self._limit_time(run)
                if asked is None and self._interrupting:
                    asked = StopReason.DRAIN
                if asked is not None:  # it was still being prepared when the others were told
                    self.stop_run(run, asked)
                outcome = await self._execute(run)
                if run.timer is not None:
                    run.timer.cancel()
                watch.ended(outcome, await self._finish(run, outcome))
        finally:
            if run.timer is not None:
                run.timer.cancel()
            run.journal.close()
            self.runs.pop(run.lease, None)

    async def _execute(self, run: Run) -> Outcome:
        try:
            return await run.executor.run(run.invocation)
        except (OSError, RuntimeError, ExecutorError) as error:
            # This machine has no descriptor, process or thread left, or the executor has been stopped: neither the
            # function's fault nor a lost worker.
            logger.warning("%s could not be started here and is queued again: %r", run.operation.id, error)
            return AskedToRetry(after=_BREATH)

    async def _prepare(self, lease: Lease, operation: Operation, kind: Kind) -> Run:
        async def write(entries: Sequence[Entry], progress: Progress | None) -> None:
            await self._store.change(
                operation.id,
                lambda found: transitions.record(
                    found, run=lease.run, entries=entries, progress=progress, now=self._clock()
                ),
            )

        journal = Journal(write=write, lost=lambda error: self._journal_refused(lease, error))
        invocation = Invocation(
            kind=kind,
            context=OperationContext(
                id=operation.id,
                kind=operation.kind,
                run=operation.run,
                attempt=operation.attempt,
                owner=operation.owner,
                metadata=operation.metadata,
                deadline=operation.deadline_at,
                idempotency_key=operation.idempotency_key,
                recorder=journal,
            ),
            stored=operation.input,
            files=await self._input_files(operation),
            staging=partial(self._blobs.staging, operation.id, operation.run),
            max_result=self._max_result,
            values=self._handover.take(operation.id) if operation.run == 1 else None,
            app=self._app,
        )
        return Run(lease, operation, kind, self._executors[kind.executor], invocation, journal)

    async def _input_files(self, operation: Operation) -> dict[str, Path]:
        """Return the paths of the request's files; the binding reports a missing one as a mismatch."""
        if '"files"' not in operation.input:
            return {}
        found = {}
        for name in json.loads(operation.input).get("files", ()):
            with contextlib.suppress(KeyError):
                found[name] = await self._blobs.local_path(f"{operation.id}/0/{name}")
        return found

    # --- stopping -------------------------------------------------------------------------------------------------

    def _limit_time(self, run: Run) -> None:
        limits = []
        if run.kind.timeout is not None:
            limits.append(run.kind.timeout.total_seconds())
        if run.operation.deadline_at is not None:
            limits.append((run.operation.deadline_at - self._clock()).total_seconds())
        if limits:
            loop = asyncio.get_running_loop()
            run.timer = loop.call_later(max(0.0, min(limits)), self._time_out, run)

    def _time_out(self, run: Run) -> None:
        """Fail at once, then stop the function; a thread that overruns keeps its slot and is reported."""
        if run.reason is not None:
            return
        self.stop_run(run, StopReason.TIMEOUT)
        if run.executor.name == "thread":
            logger.warning("%s passed its time limit; its thread goes on until the function returns", run.operation.id)
        run.timing_out = asyncio.get_running_loop().create_task(self._outcomes.time_out(run.lease))
        run.timing_out.add_done_callback(_report)

    def stop_run(self, run: Run, reason: StopReason) -> None:
        """Ask a run to stop; the first reason stays, except that a lost lease outranks all."""
        if run.reason is None or reason is StopReason.LOST:
            run.reason = reason
        run.executor.interrupt(run.invocation)

    def committed(self, changes: Sequence[Change]) -> None:
        """Learn of cancels that this process wrote, and of ends that were decided elsewhere."""
        if not (self.runs or self._early):
            return
        for change in changes:
            operation = change.operation
            lease = Lease(operation.id, operation.run)
            run = self.runs.get(lease)
            if run is None:
                if operation.status is not Status.RUNNING:
                    self._ask_early(lease, StopReason.CANCEL if operation.status.held else StopReason.LOST)
                continue
            if operation.status is Status.CANCELLING and run.reason is None:
                self.stop_run(run, StopReason.CANCEL)
            elif not operation.status.held and run.reason is None and not run.journal.finished:
                self.stop_run(run, StopReason.LOST)

    def cancel(self, leases: Sequence[Lease] | frozenset[Lease]) -> None:
        """Learn of cancels that another process wrote."""
        for lease in leases:
            run = self.runs.get(lease)
            if run is None:
                self._ask_early(lease, StopReason.CANCEL)
            elif run.reason is None:
                self.stop_run(run, StopReason.CANCEL)

    def renewed(self, renewal: Renewal) -> None:
        """Stop what lost its lease; learn of cancels."""
        for lease in renewal.lost:
            run = self.runs.get(lease)
            if run is None:
                self._ask_early(lease, StopReason.LOST)
            elif run.reason is not StopReason.TIMEOUT and not run.journal.finished:
                logger.warning("run %d of %s lost its lease; its work is stopped", lease.run, lease.id)
                self.stop_run(run, StopReason.LOST)
        self.cancel(renewal.cancelling)

    def _ask_early(self, lease: Lease, reason: StopReason) -> None:
        if lease in self._early:
            self._early[lease] = reason

    def _journal_refused(self, lease: Lease, error: Exception) -> None:
        run = self.runs.get(lease)
        if run is None:
            return
        run.failure = error
        self.stop_run(run, StopReason.LOST)

    async def drain(self, grace: float) -> bool:
        """Let runs finish for a grace time, then interrupt what can be; True when nothing runs any more.

        A thread that goes on keeps its lease: it ends with the process, whose lock tells the others.
        """
        await self._settle(self._tasks, grace)
        self._interrupting = True
        threads = set()
        for run in list(self.runs.values()):
            if run.executor.name == "thread":
                run.invocation.context.request_cancel()
                run.reason = run.reason or StopReason.DRAIN
                threads.add(run.task)
            elif run.reason is None:
                self.stop_run(run, StopReason.DRAIN)
        await self._settle(self._tasks, _THREAD_PATIENCE)
        await self._settle(self._tasks - threads, _STOP_PATIENCE - _THREAD_PATIENCE)
        for run in self.runs.values():
            logger.warning("%s still runs at shutdown; another worker takes it over", run.operation.id)
        return not self._tasks

    async def _settle(self, tasks: Collection[asyncio.Task[None] | None], seconds: float) -> None:
        waiting = [task for task in tasks if task is not None]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)

    # --- the outcome ----------------------------------------------------------------------------------------------

    async def _finish(self, run: Run, outcome: Outcome) -> Operation | None:
        """Write the outcome and return the record; None where the run holds it no more."""
        rest = await run.journal.finish()
        if isinstance(run.failure, transitions.OutputTooLarge):
            return await self._outcomes.output_too_large(run.lease)
        if run.failure is not None and not isinstance(run.failure, (LeaseLost, KeyError)):
            return await self._outcomes.unwritable(run.lease, run.failure)
        if run.timing_out is not None and run.reason is StopReason.TIMEOUT and not await run.timing_out:
            run.reason = StopReason.CANCEL  # written by another process, and seen only now
        if run.reason in {StopReason.TIMEOUT, StopReason.LOST}:
            self._log_dropped(run, outcome)
            return None
        interrupted_by_drain = run.reason is StopReason.DRAIN
        return await self._outcomes.write(run.lease, run.kind, outcome, rest=rest, draining=interrupted_by_drain)

    def _log_dropped(self, run: Run, outcome: Outcome) -> None:
        if not isinstance(outcome, Interrupted):
            reason = "its time limit passed" if run.reason is StopReason.TIMEOUT else "its lease was lost"
            name = type(outcome).__name__.lower()
            logger.info("run %d of %s %s after %s; that is dropped", run.operation.run, run.operation.id, name, reason)


def _report(task: asyncio.Task[Any]) -> None:
    """Make a bug or a store that stays away visible; the lease then ends by itself and the work runs again."""
    if task.cancelled():
        return
    error = task.exception()
    if isinstance(error, (LeaseLost, StoreUnavailable, StorageFull)):
        logger.warning("%s: %s", task.get_name(), error)
    elif error is not None:
        logger.error("%s ended unexpectedly", task.get_name(), exc_info=error)
