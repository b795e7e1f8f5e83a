"""Every metric: its name, unit, labels and meaning. OpenTelemetry, Prometheus and docs/operating.md follow this table.

Labels are bounded by the code: kinds, executors, outcomes, codes of ours. Ids, owners and URLs are never labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Shape(Enum):
    """What a metric is."""

    COUNTER = "counter"
    BALANCE = "up-down counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric.

    :param name: as OpenTelemetry writes it; Prometheus has underscores, the unit and its own suffixes.
    :param unit: ``s``, or what is counted, in braces.
    """

    name: str
    shape: Shape
    unit: str
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


_WORK = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 14400)
_SEND = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)
_COMMIT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_WRITES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)

# --- of this process: sum them over all ---------------------------------------------------------------------------

ACCEPTED = Measure(
    "raincheck.operations.accepted",
    Shape.COUNTER,
    "{operation}",
    ("kind",),
    "Operations that were made durable",
)
FINISHED = Measure(
    "raincheck.operations.finished",
    Shape.COUNTER,
    "{operation}",
    ("kind", "outcome", "error"),
    "Operations that reached their end; outcome is succeeded, failed or cancelled, error the code of a failure",
)
QUEUE_WAIT = Measure(
    "raincheck.operation.queue_wait",
    Shape.HISTOGRAM,
    "s",
    ("kind",),
    "From the moment that an operation was due until a run of it began",
    _WORK,
)
RUN_DURATION = Measure(
    "raincheck.run.duration",
    Shape.HISTOGRAM,
    "s",
    ("kind", "executor", "outcome"),
    "Runs; outcome is succeeded, failed, cancelled, retrying, postponed, released, died or lost",
    _WORK,
)
ACTIVE_RUNS = Measure("raincheck.runs.active", Shape.BALANCE, "{run}", ("executor",), "Runs that this process works on")
SLOTS = Measure("raincheck.slots", Shape.BALANCE, "{run}", ("executor",), "Runs that this process can work on at once")
ATTEMPT_DURATION = Measure(
    "raincheck.webhook.attempt.duration",
    Shape.HISTOGRAM,
    "s",
    ("outcome",),
    "Attempts of webhooks; outcome is accepted (2xx), refused (another status) or unanswered",
    _SEND,
)
DELIVERIES = Measure(
    "raincheck.webhook.deliveries",
    Shape.COUNTER,
    "{delivery}",
    ("outcome",),
    "Webhooks that reached their end: delivered or failed",
)
COMMIT_DURATION = Measure(
    "raincheck.store.commit.duration",
    Shape.HISTOGRAM,
    "s",
    (),
    "Transactions of the store, waiting for other processes included",
    _COMMIT,
)
COMMIT_WRITES = Measure(
    "raincheck.store.commit.writes",
    Shape.HISTOGRAM,
    "{write}",
    (),
    "Writes that shared a transaction",
    _WRITES,
)

# --- of the store: the same in all processes, so take the largest -------------------------------------------------

QUEUED = Measure(
    "raincheck.queue.depth",
    Shape.GAUGE,
    "{operation}",
    ("kind",),
    "Operations that are due and wait for a worker",
)
SCHEDULED = Measure(
    "raincheck.queue.scheduled", Shape.GAUGE, "{operation}", (), "Operations that wait for a later time"
)
OLDEST = Measure(
    "raincheck.queue.oldest_age", Shape.GAUGE, "s", (), "How long the operation that waits longest has been due"
)
RUNNING = Measure(
    "raincheck.operations.running", Shape.GAUGE, "{operation}", ("kind",), "Operations that any worker runs"
)

MEASURES = (
    ACCEPTED,
    FINISHED,
    QUEUE_WAIT,
    RUN_DURATION,
    ACTIVE_RUNS,
    SLOTS,
    ATTEMPT_DURATION,
    DELIVERIES,
    COMMIT_DURATION,
    COMMIT_WRITES,
    QUEUED,
    SCHEDULED,
    OLDEST,
    RUNNING,
)

# Functions may fail with codes of their own making, which are counted as "other".
ERRORS = frozenset(
    {
        "unhandled-error",
        "deadline-exceeded",
        "worker-lost",
        "out-of-memory",
        "result-too-large",
        "result-mismatch",
        "input-mismatch",
        "output-too-large",
        "output-overflow",
        "executor-error",
        "http-error",
    },
)
