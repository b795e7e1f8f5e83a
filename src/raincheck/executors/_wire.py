"""The values that travel between the executor and a child, to frames and back."""

from __future__ import annotations

from dataclasses import fields as dataclass_fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raincheck.context import OperationContext
from raincheck.core.events import LogLine, Output
from raincheck.core.operation import Problem, Progress
from raincheck.core.outcome import AskedToRetry, Interrupted, Raised, Returned
from raincheck.core.trace_context import TraceContext
from raincheck.executors._frames import Frame, FrameType, frame
from raincheck.invocation import Invocation

if TYPE_CHECKING:
    from raincheck.context import Recorder
    from raincheck.core.outcome import Outcome
    from raincheck.ports_functions import Kind


def encode_request(invocation: Invocation, target: str) -> bytes:
    """Return the frame that tells a child what to run; ``target`` is ``module:qualname``."""
    context = invocation.context
    fields = {
        "target": target,
        "kind": invocation.kind.name,
        "id": context.id,
        "run": context.run,
        "attempt": context.attempt,
        "owner": context.owner,
        "metadata": dict(context.metadata),
        "deadline": None if context.deadline is None else context.deadline.isoformat(),
        "idempotency_key": context.idempotency_key,
        "files": {name: str(path) for name, path in invocation.files.items()},
        "staging": str(invocation.staging()),
        "max_result": invocation.max_result,
        "trace": None if invocation.trace is None else [invocation.trace.traceparent, invocation.trace.tracestate],
    }
    return frame(FrameType.REQUEST, fields, invocation.stored.encode("utf-8", "surrogatepass"))


def decode_request(request: Frame, kind: Kind, recorder: Recorder) -> Invocation:
    """Return what a request asks for, given the kind that it names."""
    fields = request.fields()
    deadline = fields["deadline"]
    staging = Path(fields["staging"])
    context = OperationContext(
        id=fields["id"],
        kind=fields["kind"],
        run=fields["run"],
        attempt=fields["attempt"],
        owner=fields["owner"],
        metadata=fields["metadata"],
        deadline=None if deadline is None else datetime.fromisoformat(deadline),
        idempotency_key=fields["idempotency_key"],
        recorder=recorder,
    )
    return Invocation(
        kind=kind,
        context=context,
        stored=request.body.decode("utf-8", "surrogatepass"),
        files={name: Path(path) for name, path in fields["files"].items()},
        staging=lambda: staging,
        max_result=fields["max_result"],
        trace=None if fields["trace"] is None else TraceContext(*fields["trace"]),
    )


def encode_progress(progress: Progress) -> bytes:
    """Return the frame of a progress."""
    return frame(FrameType.PROGRESS, _fields(progress))


def decode_progress(told: Frame) -> Progress:
    """Return the progress in a frame."""
    return Progress(**told.fields())


def encode_output(output: Output) -> bytes:
    """Return the frame of an emitted chunk."""
    return frame(FrameType.OUTPUT, None, output.chunk.encode("ascii"))


def decode_output(told: Frame) -> Output:
    """Return the chunk in a frame."""
    return Output(told.body.decode("ascii"))


def encode_log(line: LogLine) -> bytes:
    """Return the frame of a log line."""
    return frame(FrameType.LOG, {"message": line.message, "level": line.level})


def decode_log(told: Frame) -> LogLine:
    """Return the log line in a frame."""
    return LogLine(**told.fields())


def encode_outcome(outcome: Outcome, *, terminated: bool) -> bytes:
    """Return the frame of an outcome.

    :param terminated: whether SIGTERM reached the child, which tells a stop that nobody here asked for.
    """
    fields: dict[str, Any] = {"outcome": type(outcome).__name__, "terminated": terminated}
    body = b""
    match outcome:
        case Returned():
            fields |= {
                "status_code": outcome.status_code,
                "media_type": outcome.media_type,
                "headers": outcome.headers,
                "file": None if outcome.file is None else str(outcome.file),
                "has_body": outcome.body is not None,
            }
            body = outcome.body or b""
        case Raised():
            error = _fields(outcome.error) | {"extensions": dict(outcome.error.extensions)}
            fields |= {"error": error, "retryable": outcome.retryable, "traceback": outcome.traceback}
            fields["exception"] = outcome.exception
        case AskedToRetry():
            after = outcome.after
            fields["after"] = [after.days, after.seconds, after.microseconds]
    return frame(FrameType.OUTCOME, fields, body)


def decode_outcome(told: Frame) -> tuple[Outcome, bool]:
    """Return the outcome in a frame, and whether SIGTERM had reached the child."""
    fields = told.fields()
    return _outcome(fields, told.body), fields["terminated"]


def _outcome(fields: dict[str, Any], body: bytes) -> Outcome:
    match fields["outcome"]:
        case "Returned":
            return Returned(
                status_code=fields["status_code"],
                media_type=fields["media_type"],
                headers=_pairs(fields["headers"]),
                body=body if fields["has_body"] else None,
                file=None if fields["file"] is None else Path(fields["file"]),
            )
        case "Raised":
            error = fields["error"]
            error["headers"] = _pairs(error["headers"])
            told = {name: fields[name] for name in ("retryable", "traceback", "exception")}
            return Raised(error=Problem(**error), **told)
        case "AskedToRetry":
            days, seconds, microseconds = fields["after"]
            return AskedToRetry(after=timedelta(days=days, seconds=seconds, microseconds=microseconds))
    return Interrupted()


def _pairs(found: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in found)


def _fields(value: Problem | Progress) -> dict[str, Any]:
    """Return the fields of a record as they are; ``asdict`` would copy what the user put in them."""
    return {field.name: getattr(value, field.name) for field in dataclass_fields(value)}
