"""The versioned event log of one operation.

The record is its own first, last and progress event: version 1 (acceptance), version 2 of an operation that has run
(its first start: a claim is the only way from the queue to a run), the newest progress, and the terminal change are
read from the operation's row, so that accepting, starting and finishing write one row each.
Only what the row cannot hold is an event row: later status changes, output and log lines.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from raincheck.core.operation import Operation, Progress, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime


FIRST_START = 2


class EventType(StrEnum):
    """What one event tells."""

    STATUS = "status"
    PROGRESS = "progress"
    OUTPUT = "output"
    LOG = "log"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Event:
    """One durable change. ``data`` is the ASCII JSON text of the fields that belong to the type.

    ``done`` carries no data here: its resource is rendered from the operation's row.
    """

    operation: str
    version: int
    run: int
    type: EventType
    time: datetime
    data: str = "{}"


@dataclass(frozen=True, slots=True)
class Output:
    """A chunk the function emitted, as ASCII JSON text."""

    chunk: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line the function logged for the client."""

    message: str
    level: str = "info"


Entry = Output | LogLine


def entry_data(entry: Entry) -> tuple[EventType, str]:
    """Return the event type and data text of an entry."""
    if isinstance(entry, Output):
        return EventType.OUTPUT, f'{{"chunk": {entry.chunk}}}'
    return EventType.LOG, json.dumps({"level": entry.level, "message": entry.message})


def status_data(status: Status, *, attempt: int, next_attempt_at: str | None = None) -> str:
    """Return the data text of a ``status`` event."""
    return json.dumps({"status": status.value, "attempt": attempt, "next_attempt_at": next_attempt_at})


def progress_data(progress: Progress) -> str:
    """Return the data text of a ``progress`` event (without the estimate, which the reader adds)."""
    return json.dumps(
        {
            "progress": {
                "fraction": progress.fraction,
                "current": progress.current,
                "total": progress.total,
                "unit": progress.unit,
                "message": progress.message,
                "stage": progress.stage,
            },
        },
    )


def history(operation: Operation, rows: Iterable[Event], *, after: int) -> list[Event]:
    """Return all events above a version, in order: the stored rows and those that the record itself holds."""
    found = [event for event in (*rows, *_held(operation, after)) if event.version > after]
    found.sort(key=lambda event: event.version)
    return found


def _held(operation: Operation, after: int) -> Iterator[Event]:
    """Give the events that a record holds; the first two, which most readers have, only where they are wanted."""
    identity, last_change = operation.id, operation.updated_at
    if after < 1:
        queued = status_data(Status.QUEUED, attempt=0)
        yield Event(identity, 1, 0, EventType.STATUS, operation.created_at, queued)
    if after < FIRST_START <= operation.version and operation.run > 0:
        running = status_data(Status.RUNNING, attempt=1)
        yield Event(identity, FIRST_START, 1, EventType.STATUS, operation.started_at or last_change, running)
    if operation.progress is not None and operation.progress_version > after:
        told, moment = progress_data(operation.progress), operation.progress_at or last_change
        yield Event(identity, operation.progress_version, operation.progress_run, EventType.PROGRESS, moment, told)
    if operation.done:
        moment = operation.finished_at or last_change
        yield Event(identity, operation.version, operation.run, EventType.DONE, moment)
