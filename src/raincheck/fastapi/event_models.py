"""The events of a stream, as typed clients read them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel

from raincheck.fastapi.models import OperationProgress, OperationStatus, documented_operation


class _Event(BaseModel):
    operation: str = Field(description="the id of the operation")
    version: int = Field(ge=1, description="the version of this change; ids of events are made of it")
    run: int = Field(ge=0, description="output of an older run is superseded by the newer run's")
    time: datetime


class SnapshotEvent(_Event):
    """What a reader without a cursor gets first."""

    type: Literal["snapshot"]
    resource: documented_operation(Any)  # type: ignore[valid-type]


class StatusEvent(_Event):
    """A change of status that is not the last."""

    type: Literal["status"]
    status: OperationStatus
    attempt: int
    next_attempt_at: datetime | None


class ProgressEvent(_Event):
    """The newest progress."""

    type: Literal["progress"]
    progress: OperationProgress


class OutputEvent(_Event):
    """A chunk that the function emitted."""

    type: Literal["output"]
    chunk: Any


class LogEvent(_Event):
    """A line that the function logged."""

    type: Literal["log"]
    level: Literal["debug", "info", "warning", "error", "critical"]
    message: str


class DoneEvent(_Event):
    """The last change."""

    type: Literal["done"]
    resource: documented_operation(Any)  # type: ignore[valid-type]


_Any = Annotated[
    SnapshotEvent | StatusEvent | ProgressEvent | OutputEvent | LogEvent | DoneEvent,
    Field(discriminator="type"),
]


class OperationEvent(RootModel[_Any]):
    """The `data` of one event, told apart by `type`."""


class OperationTicket(BaseModel):
    """Lets its bearer follow one operation."""

    ticket: str
    events: str = Field(description="where to open the EventSource")
    expires_at: datetime = Field(description="the first use must come before")
