"""``raincheck show``: all that is known of one operation, with what its clients never see."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from raincheck.cli.formats import counted, duration, local, printable, progress, run_time, size
from raincheck.cli.listing import LINKS
from raincheck.cli.server import server_url
from raincheck.cli.table import COLOURS
from raincheck.cli.view import opened_view
from raincheck.core.errors import OperationDeleted, OperationExpired, OperationNotFound
from raincheck.core.moments import rfc3339
from raincheck.core.operation import Operation, Status, StoredResult
from raincheck.core.wire import problem_fields, resource
from raincheck.ports import Tombstone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from raincheck.cli.view import View
    from raincheck.core.events import Event

_PAGE = 1000


def print_operation(
    operation_id: str,
    store: str | None,
    *,
    server: str | None,
    headers: Sequence[str],
    with_events: bool,
    as_json: bool,
) -> None:
    """Print one operation and, if asked for, its event log; through a server as clients see it.

    :raises OperationNotFound: the store has no such operation; or its tombstone says that it was deleted or expired.
    :raises StoreError: the store cannot be read.
    """
    url = server_url(server, store)
    if url is not None:
        from raincheck.cli.remote import print_remote_operation  # noqa: PLC0415 - needs the client

        print_remote_operation(operation_id, url, headers, with_events=with_events, as_json=as_json)
        return
    with opened_view(store) as view:
        operation = found_in(view, operation_id)
        position = view.queue_position(operation) if operation.status is Status.QUEUED else None
        if as_json:
            print(_json(operation, position, view))
        else:
            _print_fields(Console(), operation, position, view)
        if with_events:
            for event in _events(view, operation_id):
                print(_event_json(event) if as_json else _event_line(event))


def found_in(view: View, operation_id: str) -> Operation:
    """Return an operation's record.

    :raises OperationNotFound: there is none; OperationDeleted or OperationExpired where there was one.
    """
    found = view.get(operation_id)
    match found:
        case Operation():
            return found
        case Tombstone(reason="deleted"):
            msg = f"{operation_id} was deleted by its owner; nothing of it is kept."
            raise OperationDeleted(msg, operation_id=operation_id)
        case Tombstone():
            msg = f"{operation_id} has expired: its retention has passed, and nothing of it is kept."
            raise OperationExpired(msg, operation_id=operation_id)
        case None:
            msg = f"There is no operation {printable(operation_id)!r} in {view.name}. `raincheck ls` lists them."
            raise OperationNotFound(msg)


# --- for eyes -------------------------------------------------------------------------------------------------


def _print_fields(console: Console, operation: Operation, position: int | None, view: View) -> None:
    fields = [(name, text) for name, text in _fields(operation, position) if text]
    width = max(len(name) for name, _ in fields) + 2
    for name, text in fields:
        shown = Text(text, style=COLOURS[operation.status] if name == "status" else "")
        console.print(Text.assemble((name.ljust(width), "bold"), shown), soft_wrap=True)
    for name, text in _blocks(operation, view):
        if text:
            console.print(Text(name, style="bold"))
            console.print(Text(printable(text.rstrip("\n"), lines=True)), soft_wrap=True)


def _fields(operation: Operation, position: int | None) -> Iterator[tuple[str, str]]:
    now = datetime.now(UTC)
    yield "id", operation.id
    yield "kind", printable(operation.kind)
    yield "status", operation.status.value
    yield "owner", printable(operation.owner)
    yield "attempt", f"{operation.attempt} of {operation.max_attempts}"
    yield (
        "run",
        f"{operation.run}" + (f", lost {operation.losses} of {operation.max_losses}" if operation.losses else ""),
    )
    yield "progress", progress(operation.progress)
    yield "queue", f"{printable(operation.queue)}, priority {operation.priority}"
    yield "position", "" if position is None else f"{position} before it"
    yield "worker", operation.worker or ""
    yield "lease until", local(operation.lease_until)
    yield "created", f"{local(operation.created_at)} ({duration(now - operation.created_at)} ago)"
    yield "scheduled for", local(operation.scheduled_for)
    yield "next attempt", local(operation.next_attempt_at)
    yield "started", local(operation.started_at)
    yield "updated", local(operation.updated_at)
    yield "cancel asked", local(operation.cancel_requested_at)
    yield "deadline", local(operation.deadline_at)
    yield "finished", local(operation.finished_at)
    yield "took", run_time(operation, now) if operation.done else ""
    yield "expires", local(operation.expires_at)
    yield "retention", duration(operation.retention)
    yield "version", f"{operation.version}"
    yield (
        "output",
        f"{counted(operation.output_events, 'event')}, {size(operation.output_bytes)}"
        if operation.output_events
        else "",
    )
    yield "metadata", printable(", ".join(f"{name}={value}" for name, value in operation.metadata.items()))
    yield "idempotency", printable(operation.idempotency_key or "")
    yield "rerun of", operation.rerun_of or ""


def _blocks(operation: Operation, view: View) -> Iterator[tuple[str, str]]:
    yield "input", "" if operation.input == "{}" else operation.input
    if operation.result is not None:
        yield "result", _result(operation.result, view)
    if operation.error is not None:
        yield "error", json.dumps(problem_fields(operation.error, operation_id=None), indent=2, ensure_ascii=False)
    yield "traceback", operation.traceback or ""


def _result(result: StoredResult, view: View) -> str:
    head = f"{result.status_code} {result.media_type or 'without media type'}, {size(result.size)}"
    if result.blob is not None:
        return f"{head}\n{view.result_file(result.blob) or f'{view.without_file}: {result.blob}'}"
    try:
        return f"{head}\n{(result.body or b'').decode()}"
    except UnicodeDecodeError:
        return f"{head}, not text"


# --- for scripts ----------------------------------------------------------------------------------------------


def _json(operation: Operation, position: int | None, view: View) -> str:
    fields = json.loads(resource(operation, links=LINKS, queue_position=position))
    result = operation.result
    blob = None if result is None or result.blob is None else view.result_file(result.blob)
    fields["operator"] = {
        "owner": operation.owner,
        "queue": operation.queue,
        "priority": operation.priority,
        "run": operation.run,
        "losses": operation.losses,
        "max_losses": operation.max_losses,
        "worker": operation.worker,
        "lease_until": None if operation.lease_until is None else rfc3339(operation.lease_until),
        "idempotency_key": operation.idempotency_key,
        "output_events": operation.output_events,
        "output_bytes": operation.output_bytes,
        "result_file": None if blob is None else str(blob),
        "result_size": None if result is None else result.size,
        "traceback": operation.traceback,
    }
    return json.dumps(fields)


# --- the event log --------------------------------------------------------------------------------------------


def _events(view: View, operation_id: str) -> Iterator[Event]:
    after = 0
    while True:
        found = view.events_after({operation_id: after}, _PAGE).get(operation_id)
        if found is None or not found[1]:
            return
        yield from found[1]
        after = found[1][-1].version


def _event_line(event: Event) -> str:
    return printable(f"{event.version:>6}  {local(event.time)}  run {event.run}  {event.type.value:<8}  {event.data}")


def _event_json(event: Event) -> str:
    head: dict[str, Any] = {
        "type": event.type.value,
        "operation": event.operation,
        "version": event.version,
        "run": event.run,
        "time": rfc3339(event.time),
    }
    return json.dumps({**head, **json.loads(event.data)})
