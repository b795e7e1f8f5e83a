"""What traces and figures say of one run."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from raincheck.core.operation import Problem
from raincheck.core.outcome import AskedToRetry, Died, Raised
from raincheck.core.transitions import DEADLINE_EXCEEDED, WORKER_LOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raincheck.core.operation import Operation
    from raincheck.core.outcome import Outcome
    from raincheck.roles.run import Run
    from raincheck.telemetry.telemetry import Telemetry
    from raincheck.telemetry.tracing import RunSpan


class RunWatch:
    """One run; ``outcome`` is what became of it, ``lost`` unless ``ended`` says otherwise."""

    def __init__(self, run: Run, span: RunSpan) -> None:
        self._run = run
        self._span = span
        self.outcome = "lost"

    def ended(self, outcome: Outcome, record: Operation | None) -> None:
        """Say how the function ended and what the store made of it; None where the run held it no more."""
        problem: Problem | None = DEADLINE_EXCEEDED
        if record is None and self._run.timing_out is not None:
            self.outcome = "failed"
        else:
            self.outcome, problem = _what_became(outcome, record)
        exception = (outcome.exception, outcome.traceback or "") if isinstance(outcome, Raised) else None
        self._span.ended(self.outcome, problem=problem, exception=exception)


class _Nobody:
    def ended(self, outcome: Outcome, record: Operation | None) -> None:
        """Tell nobody."""


_NOBODY = contextlib.nullcontext(_Nobody())


def watched(run: Run, telemetry: Telemetry) -> contextlib.AbstractContextManager[RunWatch | _Nobody]:
    """Surround a run with its span, and count and time it; where nobody watches, with nothing."""
    if telemetry.idle:
        run.invocation.trace = run.operation.trace
        return _NOBODY
    return _watched(run, telemetry)


@contextlib.contextmanager
def _watched(run: Run, telemetry: Telemetry) -> Iterator[RunWatch]:
    executor = run.executor.name
    telemetry.instruments.run_began(executor)
    began = time.monotonic()
    with telemetry.tracing.running(run.operation, executor=executor) as span:
        run.invocation.trace = span.context
        watch = RunWatch(run, span)
        try:
            yield watch
        finally:
            seconds = time.monotonic() - began
            telemetry.instruments.run_ended(run.kind.name, executor, outcome=watch.outcome, seconds=seconds)


def _what_became(outcome: Outcome, record: Operation | None) -> tuple[str, Problem | None]:
    if record is None:
        return "lost", WORKER_LOST
    if record.done:
        return record.status.value, record.error
    match outcome:
        case Raised(error=error):
            return "retrying", error
        case Died(reason=reason):
            return "died", Problem(code=WORKER_LOST.code, title=WORKER_LOST.title, detail=reason)
        case AskedToRetry():
            return "postponed", None
    return "released", None
