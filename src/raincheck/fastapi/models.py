"""The wire models that the OpenAPI document and typed clients show."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from raincheck.core.operation import Status

T = TypeVar("T")


class OperationProgress(BaseModel):
    """How far an operation has come; every part is optional."""

    fraction: float | None = Field(description="0 to 1")
    current: float | None = Field(description="units done")
    total: float | None = Field(description="units in all")
    unit: str | None
    message: str | None
    stage: str | None
    eta_seconds: float | None = Field(description="estimate of the time left")


class OperationProblem(BaseModel):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="a stable identifier, such as urn:raincheck:problem:operation-not-found")
    title: str = Field(description="short text that does not vary between occurrences")
    status: int = Field(description="the HTTP status")
    detail: str | None = Field(description="what happened, why, and what to do")
    operation_id: str | None = None


class OperationLinks(BaseModel):
    """Where the operation's resources are (path-absolute)."""

    self: str
    result: str
    events: str
    websocket: str
    cancel: str
    retry: str


class OperationSummary(BaseModel):
    """An operation without its result, as lists show it."""

    id: str = Field(pattern=r"^op_[0-9A-HJKMNP-TV-Z]{32}$")
    kind: str
    status: Status
    done: bool = Field(description="true in a terminal status, so that old clients survive new statuses")
    version: int = Field(ge=1, description="rises by one with each persisted change")
    attempt: int
    max_attempts: int
    next_attempt_at: datetime | None
    progress: OperationProgress | None
    queue_position: int | None = Field(description="best effort, while queued")
    poll_after_ms: int | None = Field(description="advice to pollers; null when done")
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    deadline_at: datetime | None
    expires_at: datetime | None
    scheduled_for: datetime | None
    metadata: dict[str, str]
    rerun_of: str | None
    error: OperationProblem | None
    links: OperationLinks


class Operation(OperationSummary, Generic[T]):
    """A durable operation; ``result`` has the type that the submitting route declares."""

    result: T | None = Field(description="the result, when it is small JSON and the operation succeeded")
    result_inline: bool = Field(description="false: the result is absent, a file, or large; read links.result")

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Return a short title such as ``ReportOperation``; generated clients name their types by it."""
        return f"{_title(params[0])}Operation"


class OperationPage(BaseModel):
    """A page of operations, newest first."""

    items: list[OperationSummary]
    next_page_token: str | None


class OperationTicket(BaseModel):
    """Lets its bearer follow one operation."""

    ticket: str
    events: str = Field(description="where to open the EventSource")
    expires_at: datetime = Field(description="the first use must come before")


class HTTPValidationProblem(BaseModel):
    """What FastAPI answers to input that does not validate."""

    detail: list[dict[str, Any]]


def _title(parameter: Any) -> str:
    if parameter is Any or parameter is None or parameter is type(None):
        return ""
    name = getattr(parameter, "__name__", None) if not hasattr(parameter, "__args__") else None
    words = re.findall(r"[A-Za-z0-9]+", name or re.sub(r"\b(?:\w+\.)+", "", str(parameter)))
    return "".join(word[0].upper() + word[1:] for word in words)
