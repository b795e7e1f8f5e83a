"""The operation record and its parts: frozen values, no behaviour that changes anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raincheck.core.endpoints import Callback
    from raincheck.core.trace_context import TraceContext


class Status(StrEnum):
    """Where an operation stands. The last three are terminal and never change."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    # Enum hashes by name, in Python; this is looked up several times in each change, and equals its text anyway.
    __hash__ = str.__hash__

    @property
    def done(self) -> bool:
        """Whether the status is terminal."""
        return self in _TERMINAL

    @property
    def held(self) -> bool:
        """Whether a worker holds a lease in this status."""
        return self in _HELD


_TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})
_HELD = frozenset({Status.RUNNING, Status.CANCELLING})
TERMINAL_STATUSES = tuple(status for status in Status if status.done)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come; every part is optional."""

    fraction: float | None = None
    current: float | None = None
    total: float | None = None
    unit: str | None = None
    message: str | None = None
    stage: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why an operation failed, as RFC 9457 shows it to the client.

    :param http_detail: JSON text of an ``HTTPException.detail``, which the application's own handlers render.
    :param headers: headers of that exception.
    """

    code: str
    title: str
    status: int = 500
    detail: str | None = None
    extensions: Mapping[str, object] = field(default_factory=dict)
    http_detail: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """What the function returned, ready to be replayed: status, media type, headers, bytes.

    Exactly one of ``body`` (bytes kept in the record) and ``blob`` (name of a stored file) is set.
    """

    status_code: int = 200
    media_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    blob: str | None = None
    size: int = 0
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One durable operation. ``version`` rises by one with each persisted change.

    ``trace`` is where in a distributed trace it was submitted: its runs and webhooks go on from there.

    Without slots, which all other records have: so ``changed`` copies it in one step.
    """

    id: str
    kind: str
    owner: str = ""
    status: Status = Status.QUEUED
    version: int = 1
    run: int = 0
    attempt: int = 0
    max_attempts: int = 1
    losses: int = 0
    max_losses: int = 3
    queue: str = "default"
    priority: int = 0
    created_at: datetime
    updated_at: datetime
    run_at: datetime
    scheduled_for: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    deadline_at: datetime | None = None
    expires_at: datetime | None = None
    retention: timedelta = timedelta(days=7)
    worker: str | None = None
    lease_until: datetime | None = None
    progress: Progress | None = None
    progress_version: int = 0
    progress_run: int = 0
    progress_at: datetime | None = None
    output_events: int = 0
    output_bytes: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    rerun_of: str | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    callback: Callback | None = None
    trace: TraceContext | None = None
    input: str = "{}"
    result: StoredResult | None = None
    error: Problem | None = None
    traceback: str | None = None

    @property
    def done(self) -> bool:
        """Whether the operation has reached a terminal status."""
        return self.status in _TERMINAL

    @property
    def next_attempt_at(self) -> datetime | None:
        """When a waiting retry becomes due; None unless the operation waits for another try."""
        if self.status is Status.QUEUED and self.run > 0:
            return self.run_at
        return None


def changed(operation: Operation, **changes: Any) -> Operation:
    """Return a copy with other values, as ``dataclasses.replace`` does in eight times the time.

    Each operation changes at least three times in its life, so this bounds how many a process can run.
    """
    copy = object.__new__(Operation)
    object.__setattr__(copy, "__dict__", operation.__dict__ | changes)
    return copy
