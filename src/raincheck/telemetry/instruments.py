"""Where the roles count and time: each fact is told once, and every sink keeps it in its own way."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from raincheck.core.events import FIRST_START, EventType
from raincheck.core.operation import Status
from raincheck.telemetry import measures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from raincheck.core.deliveries import Attempt, DeliveryStatus
    from raincheck.core.overview import Overview
    from raincheck.core.transitions import Change
    from raincheck.telemetry.measures import Measure

    Reading = tuple[Measure, tuple[str, ...], float]


logger = logging.getLogger("raincheck.metrics")


class Sink(Protocol):
    """Keeps figures. ``labels`` are values, in the order of the measure's own; any thread may call."""

    def add(self, measure: Measure, amount: float, labels: tuple[str, ...]) -> None:
        """Change a counter or a balance."""
        ...

    def record(self, measure: Measure, value: float, labels: tuple[str, ...]) -> None:
        """Put a value into a histogram."""
        ...


class Instruments:
    """What happens in this process, told to all sinks; without any it costs nothing."""

    def __init__(self, sinks: Sequence[Sink] = ()) -> None:
        self._sinks = tuple(sinks)
        self._failing: list[Sink] = []

    def __bool__(self) -> bool:
        return bool(self._sinks)

    def committed(self, changes: Sequence[Change]) -> None:
        """Count what this process has written: accepted, begun and finished operations."""
        if not self._sinks:
            return
        for change in changes:
            operation = change.operation
            if change.follows == 0:
                self._add(measures.ACCEPTED, 1, (operation.kind,))
            if operation.done and not change.empty:
                self._add(measures.FINISHED, 1, (operation.kind, operation.status.value, _error(change)))
            elif _began(change):
                waited = (operation.updated_at - operation.run_at).total_seconds()
                self._record(measures.QUEUE_WAIT, max(0.0, waited), (operation.kind,))

    def run_began(self, executor: str) -> None:
        """Count a run that is under way."""
        self._add(measures.ACTIVE_RUNS, 1, (executor,))

    def run_ended(self, kind: str, executor: str, *, outcome: str, seconds: float) -> None:
        """Time a run; the outcome is what the store made of it."""
        self._add(measures.ACTIVE_RUNS, -1, (executor,))
        self._record(measures.RUN_DURATION, seconds, (kind, executor, outcome))

    def slots(self, executor: str, change: int) -> None:
        """Count the slots that an executor has, and when it ends, that it has them no more."""
        self._add(measures.SLOTS, change, (executor,))

    def attempted(self, attempt: Attempt) -> None:
        """Time one attempt of a webhook."""
        answered = "unanswered" if attempt.status is None else "refused"
        outcome = "accepted" if attempt.succeeded else answered
        self._record(measures.ATTEMPT_DURATION, attempt.latency.total_seconds(), (outcome,))

    def delivery_ended(self, status: DeliveryStatus) -> None:
        """Count a webhook that arrived, or was given up."""
        self._add(measures.DELIVERIES, 1, (status.value,))

    def commit(self, seconds: float, writes: int) -> None:
        """Time a transaction of the store."""
        self._record(measures.COMMIT_DURATION, seconds, ())
        self._record(measures.COMMIT_WRITES, writes, ())

    def _add(self, measure: Measure, amount: float, labels: tuple[str, ...]) -> None:
        for sink in self._sinks:
            try:
                sink.add(measure, amount, labels)
            except Exception as error:  # noqa: BLE001 - see _failed
                self._failed(sink, error)

    def _record(self, measure: Measure, value: float, labels: tuple[str, ...]) -> None:
        for sink in self._sinks:
            try:
                sink.record(measure, value, labels)
            except Exception as error:  # noqa: BLE001 - see _failed
                self._failed(sink, error)

    def _failed(self, sink: Sink, error: Exception) -> None:
        """Say it once: figures that get lost must neither end a writer's thread nor fill the log."""
        if sink not in self._failing:
            self._failing.append(sink)
            logger.error("figures cannot be kept by %s, and some are missing: %r", type(sink).__name__, error)


def _began(change: Change) -> bool:
    """Tell whether a change is a claim; the first one has no event of its own (see ``core.events``)."""
    operation = change.operation
    if operation.status is not Status.RUNNING:
        return False
    return operation.version == FIRST_START or any(event.type is EventType.STATUS for event in change.events)


def _error(change: Change) -> str:
    error = change.operation.error
    if error is None:
        return ""
    return error.code if error.code in measures.ERRORS else "other"


def readings(found: Overview, *, kinds: Iterable[str], now: datetime) -> Iterator[Reading]:
    """Return the gauges of a store at one moment, by its own clock.

    :param kinds: those that this process knows; what none of waits is 0, and no gap in a graph.
    """
    by_kind = {each.kind: each for each in found.kinds}
    for kind in sorted({*kinds, *by_kind}):
        figures = by_kind.get(kind)
        yield measures.QUEUED, (kind,), 0 if figures is None else figures.queued
        yield measures.RUNNING, (kind,), 0 if figures is None else figures.running
    yield measures.SCHEDULED, (), found.scheduled
    oldest = 0.0 if found.oldest_due is None else max(0.0, (now - found.oldest_due).total_seconds())
    yield measures.OLDEST, (), oldest
