"""The wire models that the OpenAPI document and typed clients show."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model

from raincheck.core.operation import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
_LONGEST_TITLE = 60


class OperationStatus(StrEnum):
    """Where an operation is in its life; the last three are terminal and never change."""

    QUEUED = Status.QUEUED.value
    RUNNING = Status.RUNNING.value
    CANCELLING = Status.CANCELLING.value
    SUCCEEDED = Status.SUCCEEDED.value
    FAILED = Status.FAILED.value
    CANCELLED = Status.CANCELLED.value


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
    deliveries: str | None = Field(default=None, description="its webhooks; absent where it has none")


class OperationSummary(BaseModel):
    """An operation without its result, as lists show it."""

    id: str = Field(pattern=r"^op_[0-9A-HJKMNP-TV-Z]{32}$")
    kind: str
    status: OperationStatus
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


def documented_operation(result: Any) -> type[Operation[Any]]:
    """Return ``Operation[result]`` under the short name that generated clients give it, such as ``ReportOperation``.

    Kinds with the same result share one. It belongs to the module of the result's model, because FastAPI tells two
    models of one name apart by their modules.
    """
    try:
        return _documented(result)
    except TypeError:  # metadata in Annotated[...] may be unhashable
        return _documented.__wrapped__(result)


@cache
def _documented(result: Any) -> type[Operation[Any]]:
    name = f"{_title(result)}Operation"
    module = next((found.__module__ for found in _models(result)), __name__)
    return create_model(name, __base__=Operation[result], __module__=module, __doc__=Operation.__doc__)


class OperationPage(BaseModel):
    """A page of operations, newest first."""

    items: list[OperationSummary]
    next_page_token: str | None


class HTTPError(BaseModel):
    """What FastAPI answers to an HTTPException."""

    model_config = ConfigDict(extra="allow")

    detail: Any = Field(default=None, description="what the exception says")


class ValidationError(BaseModel):
    """One finding of FastAPI's validation."""

    model_config = ConfigDict(extra="allow")

    loc: list[str | int] = Field(title="Location")
    msg: str = Field(title="Message")
    type: str = Field(title="Error Type")
    input: Any = None
    ctx: dict[str, Any] = Field(default={}, title="Context")


class HTTPValidationError(BaseModel):
    """What FastAPI answers to input that does not validate; the same component as on ordinary routes."""

    detail: list[ValidationError] = Field(default=[], title="Detail")


def _models(parameter: Any) -> Iterator[type[BaseModel]]:
    if isinstance(parameter, type) and get_origin(parameter) is None and issubclass(parameter, BaseModel):
        yield parameter
    for argument in get_args(parameter):
        yield from _models(argument)


def _title(parameter: Any) -> str:
    """Return a type's name in camel case: ``list[Report]`` is ``ListReport``, ``Report | None`` is ``Report``."""
    name = "".join(word[0].upper() + word[1:] for word in _words(parameter))
    return name[:_LONGEST_TITLE]


def _words(parameter: Any) -> list[str]:
    if parameter is Any or parameter is None or parameter is type(None):
        return []
    origin, arguments = get_origin(parameter), get_args(parameter)
    if origin is Annotated:
        return _words(arguments[0])
    if origin is Literal:
        return ["Literal", *(word for value in arguments for word in re.findall(r"\w+", str(value)))]
    if origin in (Union, UnionType):
        named = [words for words in map(_words, arguments) if words]
        return [word for index, words in enumerate(named) for word in ([*words] if index == 0 else ["Or", *words])]
    outer = re.findall(r"\w+", getattr(origin or parameter, "__name__", str(parameter)))
    return [*outer, *(word for argument in arguments for word in _words(argument))]
