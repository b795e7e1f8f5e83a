"""Operations and events as rows of SQLite, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from raincheck.core.dispatch_rules import first_moment
from raincheck.core.endpoints import Callback
from raincheck.core.events import Event, EventType
from raincheck.core.moments import milliseconds, moment_at
from raincheck.core.operation import Operation, Problem, Progress, Status, StoredResult
from raincheck.core.trace_context import TraceContext

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from raincheck.core.dispatch_rules import Terms

_LIGHT = (
    "id, kind, owner, status, version, run, attempt, max_attempts, losses, max_losses, queue, priority, "
    "created_at, updated_at, run_at, scheduled_for, started_at, finished_at, cancel_requested_at, deadline_at, "
    "expires_at, retention, worker, lease_until, progress, progress_version, progress_run, progress_at, "
    "output_events, output_bytes, metadata, rerun_of, idempotency_key, fingerprint, error, traceback, result"
)
# What a transition needs: the input and the result's bytes stay where they are.
LIGHT_COLUMNS = f"{_LIGHT}, NULL, '{{}}', callback, trace"
FULL_COLUMNS = f"{_LIGHT}, result_body, input, callback, trace"
# What a run needs; it has no result yet.
QUEUED_COLUMNS = f"{_LIGHT}, NULL, input, callback, trace"
_MILLISECOND = timedelta(milliseconds=1)
_NO_METADATA: dict[str, str] = {}
_STATUSES = {status.value: status for status in Status}
_TYPES = {kind.value: kind for kind in EventType}


def operation_from(row: Sequence[Any]) -> Operation:
    """Return the operation of a row selected with one of the lists of columns above."""
    return Operation(
        id=row[0],
        kind=row[1],
        owner=row[2],
        status=_STATUSES[row[3]],
        version=row[4],
        run=row[5],
        attempt=row[6],
        max_attempts=row[7],
        losses=row[8],
        max_losses=row[9],
        queue=row[10],
        priority=row[11],
        created_at=moment_at(row[12]),
        updated_at=moment_at(row[13]),
        run_at=moment_at(row[14]),
        scheduled_for=_moment(row[15]),
        started_at=_moment(row[16]),
        finished_at=_moment(row[17]),
        cancel_requested_at=_moment(row[18]),
        deadline_at=_moment(row[19]),
        expires_at=_moment(row[20]),
        retention=timedelta(milliseconds=row[21]),
        worker=row[22],
        lease_until=_moment(row[23]),
        progress=None if row[24] is None else Progress(**json.loads(row[24])),
        progress_version=row[25],
        progress_run=row[26],
        progress_at=_moment(row[27]),
        output_events=row[28],
        output_bytes=row[29],
        metadata=_NO_METADATA if row[30] == "{}" else json.loads(row[30]),
        rerun_of=row[31],
        idempotency_key=row[32],
        fingerprint=row[33],
        error=None if row[34] is None else _problem_from(row[34]),
        traceback=row[35],
        result=None if row[36] is None else _result_from(row[36], row[37]),
        input=row[38],
        callback=None if row[39] is None else _callback_from(row[39]),
        trace=None if row[40] is None else TraceContext(*json.loads(row[40])),
    )


def asks_nothing_special(operation: Operation) -> bool:
    """Tell whether ``insert_queued.sql`` takes a new operation."""
    return (
        operation.version == 1
        and operation.scheduled_for is None
        and operation.deadline_at is None
        and operation.rerun_of is None
        and operation.idempotency_key is None
        and operation.fingerprint is None
        and operation.callback is None
        and operation.trace is None
    )


def queued_values(operation: Operation) -> tuple[Any, ...]:
    """Return what ``insert_queued.sql`` takes for a new operation."""
    created = milliseconds(operation.created_at)
    same = operation.created_at is operation.updated_at is operation.run_at  # nearly always: it was made just now
    return (
        operation.id,
        operation.kind,
        operation.owner,
        operation.max_attempts,
        operation.max_losses,
        operation.queue,
        operation.priority,
        created,
        created if same else milliseconds(operation.updated_at),
        created if same else milliseconds(operation.run_at),
        operation.retention // _MILLISECOND,
        json.dumps(operation.metadata) if operation.metadata else "{}",
        operation.input,
    )


def insert_values(operation: Operation, terms: Terms | None = None) -> tuple[Any, ...]:
    """Return what ``insert_operations.sql`` takes for a new operation."""
    return (
        operation.id,
        operation.kind,
        operation.owner,
        operation.status.value,
        operation.version,
        operation.run,
        operation.attempt,
        operation.max_attempts,
        operation.max_losses,
        operation.queue,
        operation.priority,
        milliseconds(operation.created_at),
        milliseconds(operation.updated_at),
        milliseconds(operation.run_at),
        _milliseconds(operation.scheduled_for),
        _milliseconds(operation.started_at),
        _milliseconds(operation.deadline_at),
        operation.retention // _MILLISECOND,
        operation.worker,
        _milliseconds(operation.lease_until),
        json.dumps(operation.metadata) if operation.metadata else "{}",
        operation.rerun_of,
        operation.idempotency_key,
        operation.fingerprint,
        operation.input,
        None if operation.callback is None else json.dumps([operation.callback.url, operation.callback.events]),
        None if operation.trace is None else json.dumps([operation.trace.traceparent, operation.trace.tracestate]),
        None if terms is None else _milliseconds(first_moment(operation, terms)),
    )


def update_values(operation: Operation, terms: Terms | None = None) -> tuple[Any, ...]:
    """Return what ``update_operations.sql`` takes. An exception's text may hold half a surrogate pair."""
    result = operation.result
    return (
        operation.id,
        operation.status.value,
        operation.version,
        operation.run,
        operation.attempt,
        operation.losses,
        milliseconds(operation.updated_at),
        milliseconds(operation.run_at),
        _milliseconds(operation.started_at),
        _milliseconds(operation.finished_at),
        _milliseconds(operation.cancel_requested_at),
        _milliseconds(operation.expires_at),
        operation.worker,
        _milliseconds(operation.lease_until),
        None if operation.progress is None else _progress_text(operation.progress),
        operation.progress_version,
        operation.progress_run,
        _milliseconds(operation.progress_at),
        operation.output_events,
        operation.output_bytes,
        None if operation.error is None else json.dumps(asdict(operation.error)),
        None if operation.traceback is None else operation.traceback.encode("utf-8", "replace").decode(),
        None if result is None else _result_text(result),
        None if result is None else result.body,
        None if terms is None else _milliseconds(first_moment(operation, terms)),
    )


def event_values(event: Event) -> tuple[Any, ...]:
    """Return the values of an event row."""
    return (event.operation, event.version, event.run, event.type.value, milliseconds(event.time), event.data)


def event_from(row: tuple[Any, ...]) -> Event:
    """Return the event of a row."""
    return Event(row[0], row[1], row[2], _TYPES[row[3]], moment_at(row[4]), row[5])


def _moment(value: int | None) -> datetime | None:
    return None if value is None else moment_at(value)


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else milliseconds(moment)


def _progress_text(progress: Progress) -> str:
    return json.dumps({name: value for name, value in asdict(progress).items() if value is not None})


def _callback_from(text: str) -> Callback:
    url, events = json.loads(text)
    return Callback(url, tuple(events))


def _problem_from(text: str) -> Problem:
    fields = json.loads(text)
    fields["headers"] = tuple((name, value) for name, value in fields["headers"])
    return Problem(**fields)


def _result_text(result: StoredResult) -> str:
    head = _result_head(result.status_code, result.media_type, result.headers)
    blob = "null" if result.blob is None else json.dumps(result.blob)
    return f"{head}, {blob}, {result.size}, {json.dumps(result.etag)}]"


@lru_cache(maxsize=256)
def _result_head(status_code: int, media_type: str | None, headers: tuple[tuple[str, str], ...]) -> str:
    """Return what most results of a kind have in common."""
    return json.dumps([status_code, media_type, headers])[:-1]


def _result_from(text: str, body: bytes | None) -> StoredResult:
    status_code, media_type, headers, blob, size, etag = json.loads(text)
    return StoredResult(
        status_code=status_code,
        media_type=media_type,
        headers=tuple((name, value) for name, value in headers),
        body=body,
        blob=blob,
        size=size,
        etag=etag,
    )
