"""What the server tells, as values. Unknown fields and statuses of later servers are no errors: ``done`` decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from raincheck.client.errors import UnexpectedAnswer
from raincheck.client.problems import ProblemDetails

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Event", "OperationState", "ProblemDetails", "ProgressState", "event_from", "state_from"]


class ProgressState(BaseModel):
    """How far an operation has come; every part may be absent."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    fraction: float | None = None
    current: float | None = None
    total: float | None = None
    unit: str | None = None
    message: str | None = None
    stage: str | None = None
    eta_seconds: float | None = None


class OperationState(BaseModel):
    """An operation as it was at one version.

    ``status`` is a text, because a later server may know more of them; ``done`` says whether it is terminal.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    kind: str = ""
    status: str
    done: bool
    version: int
    attempt: int = 0
    max_attempts: int = 1
    next_attempt_at: datetime | None = None
    progress: ProgressState | None = None
    queue_position: int | None = None
    poll_after_ms: int | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    deadline_at: datetime | None = None
    expires_at: datetime | None = None
    scheduled_for: datetime | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    rerun_of: str | None = None
    result: Any = None
    result_inline: bool = False
    error: ProblemDetails | None = None
    links: dict[str, str] = Field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether there is a result."""
        return self.done and self.error is None and self.status != "cancelled"

    def after(self, event: Event) -> OperationState:
        """Return the state that an event leads to; of output and log lines only the version is seen here."""
        resource = event.data.get("resource")
        if isinstance(resource, dict):
            return state_from(resource)
        told: dict[str, Any] = {"version": max(self.version, event.version)}
        if event.type == "status":
            told |= {name: event.data[name] for name in _OF_STATUS if name in event.data}
            told["queue_position"] = None
        elif event.type == "progress":
            told["progress"] = event.data.get("progress")
        return state_from(self.model_dump(mode="json") | told)


_OF_STATUS = ("status", "attempt", "next_attempt_at")
_STATE = TypeAdapter(OperationState)


def state_from(body: Any) -> OperationState:
    """Read an operation.

    :raises UnexpectedAnswer: it is none.
    """
    try:
        return _STATE.validate_python(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, wrong["loc"])) or "the answer"
        msg = f"The server's answer is no operation: {where}: {wrong['msg']}. Does the URL name a Raincheck route?"
        raise UnexpectedAnswer(msg) from error


@dataclass(frozen=True, slots=True)
class Event:
    """One change of an operation, as its log tells it.

    :param data: all fields, as the contract lists them for the type.
    """

    type: str
    operation: str
    version: int
    run: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def chunk(self) -> Any:
        """What ``op.emit`` sent, in an ``output`` event."""
        return self.data.get("chunk")

    @property
    def message(self) -> str:
        """The text of a ``log`` event."""
        return str(self.data.get("message", ""))

    @property
    def level(self) -> str:
        """The level of a ``log`` event."""
        return str(self.data.get("level", "info"))


def event_from(name: str, body: Any) -> Event | None:
    """Read the data of a frame; None for what is no event of an operation."""
    if not isinstance(body, dict) or not isinstance(body.get("operation"), str):
        return None
    version, run = body.get("version"), body.get("run")
    if type(version) is not int:
        return None
    return Event(name, body["operation"], version, run if type(run) is int else 0, body)
