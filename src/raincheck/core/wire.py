"""The JSON that clients see: the operation resource and problem documents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from raincheck.core.events import EventType
from raincheck.core.moments import rfc3339
from raincheck.core.operation import Operation, Problem, Status

if TYPE_CHECKING:
    from datetime import datetime

    from raincheck.core.errors import RequestProblem
    from raincheck.core.events import Event

_MILLISECOND = timedelta(milliseconds=1)
PROBLEM_TYPE = "urn:raincheck:problem:"


@dataclass(frozen=True, slots=True)
class Links:
    """Where the resources of operations are, as this client reaches them.

    :param base: path of the operations collection with ``root_path`` and prefix, or an absolute URL in webhooks.
    :param delivered: whether every operation has deliveries, because the application has webhooks.
    """

    base: str
    delivered: bool = False

    def of(self, operation_id: str, *, called_back: bool = False) -> dict[str, str]:
        """Return the links of one operation.

        :param called_back: whether the operation has deliveries, because its caller asked for webhooks.
        """
        here = f"{self.base}/{operation_id}"
        found = {
            "self": here,
            "result": f"{here}/result",
            "events": f"{here}/events",
            "websocket": f"{self.socket_base}/ws",
            "cancel": f"{here}/cancel",
            "retry": f"{here}/retry",
        }
        if called_back or self.delivered:
            found["deliveries"] = f"{here}/deliveries"
        return found

    @property
    def socket_base(self) -> str:
        """The same for WebSockets, whose URLs have a scheme of their own."""
        return f"ws{self.base[4:]}" if self.base.startswith(("http:", "https:")) else self.base


def resource(
    operation: Operation,
    *,
    links: Links,
    poll_after: timedelta | None = None,
    queue_position: int | None = None,
    with_result: bool = True,
) -> bytes:
    """Return the operation resource as ASCII JSON. The result's own bytes are spliced in, never parsed again."""
    if operation.version == 1 and queue_position is None and with_result:
        return _accepted(operation, links, poll_after)
    fields = _fields(operation, links, poll_after, queue_position)
    if not with_result:
        return json.dumps(fields).encode()
    inline = inline_result(operation)
    head = json.dumps(fields)[:-1]
    return f'{head}, "result": {inline or "null"}, "result_inline": {"true" if inline else "false"}}}'.encode()


def _accepted(operation: Operation, links: Links, poll_after: timedelta | None) -> bytes:
    """Return the same bytes for an operation that was just accepted, a quarter as dear: this is every 202."""
    identity = operation.id
    moment = rfc3339(operation.created_at)
    rerun_of = "null" if operation.rerun_of is None else f'"{operation.rerun_of}"'
    metadata = json.dumps(dict(operation.metadata)) if operation.metadata else "{}"
    delivered = links.delivered or operation.callback is not None
    return (
        f'{{"id": "{identity}", {_head(operation.kind, operation.max_attempts)}{_whole_milliseconds(poll_after)}, '
        f'"created_at": "{moment}", "started_at": null, "updated_at": "{moment}", "finished_at": null, '
        f'"cancel_requested_at": null, "deadline_at": {_quoted(operation.deadline_at)}, "expires_at": null, '
        f'"scheduled_for": {_quoted(operation.scheduled_for)}, "metadata": {metadata}, "rerun_of": {rerun_of}, '
        f"{_tail(links.base, delivered).replace(_HERE, identity)}"
    ).encode()


# What all operations of a kind, or all of an application, have in common; there are few kinds and paths.
_HERE = "\0"


@lru_cache(maxsize=1024)
def _head(kind: str, max_attempts: int) -> str:
    return (
        f'"kind": {json.dumps(kind)}, "status": "queued", "done": false, "version": 1, "attempt": 0, '
        f'"max_attempts": {max_attempts}, "next_attempt_at": null, "progress": null, "queue_position": null, '
        '"poll_after_ms": '
    )


@lru_cache(maxsize=64)
def _tail(base: str, delivered: bool) -> str:  # noqa: FBT001 - lru_cache takes positions quicker
    here = f"{json.dumps(base)[1:-1]}/{_HERE}"
    socket = json.dumps(Links(base).socket_base)[1:-1]
    deliveries = f', "deliveries": "{here}/deliveries"' if delivered else ""
    return (
        f'"error": null, "links": {{"self": "{here}", "result": "{here}/result", "events": "{here}/events", '
        f'"websocket": "{socket}/ws", "cancel": "{here}/cancel", "retry": "{here}/retry"'
        f'{deliveries}}}, "result": null, "result_inline": false}}'
    )


def _whole_milliseconds(wait: timedelta | None) -> str:
    return "null" if wait is None else str(max(1, wait // _MILLISECOND))


def _quoted(moment: datetime | None) -> str:
    return "null" if moment is None else f'"{rfc3339(moment)}"'


def inline_result(operation: Operation) -> str | None:
    """Return the result as ASCII JSON text where the resource carries it: succeeded, JSON, and small."""
    result = operation.result
    if operation.status is not Status.SUCCEEDED or result is None or result.body is None:
        return None
    if not is_json(result.media_type) or not result.body:
        return None
    if result.body.isascii() and b"\n" not in result.body and b"\r" not in result.body:
        return result.body.decode("ascii")
    # Line ends of JSON that was written for eyes would end the frame of an event stream.
    try:
        return json.dumps(json.loads(result.body.decode()))
    except (ValueError, RecursionError):
        return None


def is_json(media_type: str | None) -> bool:
    """Tell whether a media type is JSON."""
    kind = (media_type or "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _fields(
    operation: Operation,
    links: Links,
    poll_after: timedelta | None,
    queue_position: int | None,
) -> dict[str, Any]:
    done = operation.done
    return {
        "id": operation.id,
        "kind": operation.kind,
        "status": operation.status.value,
        "done": done,
        "version": operation.version,
        "attempt": operation.attempt,
        "max_attempts": operation.max_attempts,
        "next_attempt_at": _time(operation.next_attempt_at),
        "progress": progress_fields(operation),
        "queue_position": queue_position,
        "poll_after_ms": None if done or poll_after is None else max(1, poll_after // timedelta(milliseconds=1)),
        "created_at": rfc3339(operation.created_at),
        "started_at": _time(operation.started_at),
        "updated_at": rfc3339(operation.updated_at),
        "finished_at": _time(operation.finished_at),
        "cancel_requested_at": _time(operation.cancel_requested_at),
        "deadline_at": _time(operation.deadline_at),
        "expires_at": _time(operation.expires_at),
        "scheduled_for": _time(operation.scheduled_for),
        "metadata": dict(operation.metadata),
        "rerun_of": operation.rerun_of,
        "error": None if operation.error is None else problem_fields(operation.error, operation_id=operation.id),
        "links": links.of(operation.id, called_back=operation.callback is not None),
    }


def event_data(event: Event, operation: Operation, links: Links) -> str:
    """Return one event as ASCII JSON: what all events carry, then what belongs to the type.

    :param operation: the record at this event or later; ``done`` shows it as the resource.
    """
    if event.type is EventType.DONE:
        rest = f', "resource": {resource(operation, links=links).decode()}}}'
    elif event.type is EventType.PROGRESS and operation.progress_version == event.version:
        rest = f', "progress": {json.dumps(progress_fields(operation, at_its_event=True))}}}'
    else:
        rest = f", {event.data[1:]}" if event.data != "{}" else "}"
    return _event_head(event.type, event.operation, event.version, event.run, rfc3339(event.time)) + rest


def snapshot_data(operation: Operation, links: Links, *, poll_after: timedelta | None = None) -> str:
    """Return the ``snapshot`` that a reader without a cursor gets first."""
    shown = resource(operation, links=links, poll_after=poll_after).decode()
    head = _event_head("snapshot", operation.id, operation.version, operation.run, rfc3339(operation.updated_at))
    return f'{head}, "resource": {shown}}}'


def _event_head(name: str, operation_id: str, version: int, run: int, moment: str) -> str:
    return f'{{"type": "{name}", "operation": "{operation_id}", "version": {version}, "run": {run}, "time": "{moment}"'


def progress_fields(operation: Operation, *, at_its_event: bool = False) -> dict[str, Any] | None:
    """Return the progress with an estimate of the time left.

    :param at_its_event: as it was when it was recorded, so that a replay equals what was seen live.
    """
    progress = operation.progress
    if progress is None:
        return None
    return {
        "fraction": progress.fraction,
        "current": progress.current,
        "total": progress.total,
        "unit": progress.unit,
        "message": progress.message,
        "stage": progress.stage,
        "eta_seconds": None if operation.done and not at_its_event else _eta(operation, progress.fraction),
    }


def _eta(operation: Operation, fraction: float | None) -> float | None:
    if not fraction or operation.progress_run != 1 or operation.progress_at is None or operation.started_at is None:
        return None
    passed = (operation.progress_at - operation.started_at).total_seconds()
    return round(passed / fraction * (1 - fraction), 1)


def problem_fields(problem: Problem, *, operation_id: str | None) -> dict[str, Any]:
    """Return the problem document of a failed operation (RFC 9457)."""
    fields: dict[str, Any] = {
        **problem.extensions,
        "type": PROBLEM_TYPE + problem.code,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
    }
    if operation_id is not None:
        fields["operation_id"] = operation_id
    return fields


def request_problem_fields(error: RequestProblem) -> dict[str, Any]:
    """Return the problem document of a request that cannot be served (RFC 9457)."""
    fields: dict[str, Any] = {
        "type": PROBLEM_TYPE + error.code,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
    }
    if error.operation_id is not None:
        fields["operation_id"] = error.operation_id
    return fields


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
