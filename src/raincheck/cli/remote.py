"""``raincheck ls`` and ``show`` through a server: what this caller owns, as clients see it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from raincheck.cli.ending import UsageError
from raincheck.cli.formats import duration, local, printable, progress, run_time
from raincheck.cli.server import connected
from raincheck.cli.table import COLOURS, print_rows
from raincheck.core.operation import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from raincheck.client.models import Event, OperationState

_COLUMNS = ("ID", "KIND", "STATUS", "ATTEMPT", "PROGRESS", "AGE", "TIME")


def print_remote_operations(
    url: str,
    headers: Sequence[str],
    *,
    statuses: tuple[Status, ...],
    kind: str | None,
    owner: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print the caller's operations, newest first.

    :raises UsageError: an owner is named; a server shows what the caller owns.
    :raises ClientError: the server refuses, or cannot be reached.
    """
    if owner is not None:
        msg = "--owner works on the store only; a server lists what its caller owns. Use --store, or another token."
        raise UsageError(msg)
    with connected(url, headers) as client:
        found = client.list(status=[each.value for each in statuses] or None, kind=kind, limit=limit)
        if as_json:
            for state in found:
                print(json.dumps(state.model_dump(mode="json", exclude={"result"})))
            return
        now = datetime.now(UTC)
        print_rows(Console(), _COLUMNS, [_cells(state, now) for state in found])


def print_remote_operation(
    operation_id: str, url: str, headers: Sequence[str], *, with_events: bool, as_json: bool
) -> None:
    """Print one operation and, if asked for, its event log so far.

    :raises ClientError: the server refuses, or cannot be reached.
    """
    with connected(url, headers) as client:
        handle = client.operation(operation_id)
        state = handle.refresh()
        if as_json:
            print(json.dumps(state.model_dump(mode="json")))
        else:
            _print_fields(Console(), state)
        if with_events:
            for event in handle.events(after=0):
                print(json.dumps(dict(event.data)) if as_json else _event_line(event))
                if event.version >= state.version:
                    return


def _cells(state: OperationState, now: datetime) -> tuple[str, ...]:
    return (
        state.id,
        printable(state.kind),
        printable(state.status),
        f"{state.attempt}/{state.max_attempts}",
        "" if state.done else progress(state.progress),
        "" if state.created_at is None else duration(now - state.created_at),
        run_time(state, now),
    )


def _print_fields(console: Console, state: OperationState) -> None:
    fields = [(name, text) for name, text in _fields(state) if text]
    width = max(len(name) for name, _ in fields) + 2
    known = state.status in {each.value for each in Status}
    for name, text in fields:
        shown = Text(text, style=COLOURS[Status(state.status)] if name == "status" and known else "")
        console.print(Text.assemble((name.ljust(width), "bold"), shown), soft_wrap=True)
    for name, value in (("result", state.result), ("error", state.error and state.error.model_dump(mode="json"))):
        if value is not None:
            console.print(Text(name, style="bold"))
            text = json.dumps(value, indent=2, ensure_ascii=False)
            console.print(Text(printable(text, lines=True)), soft_wrap=True)


def _fields(state: OperationState) -> Iterator[tuple[str, str]]:
    now = datetime.now(UTC)
    yield "id", state.id
    yield "kind", printable(state.kind)
    yield "status", printable(state.status)
    yield "attempt", f"{state.attempt} of {state.max_attempts}"
    yield "progress", progress(state.progress)
    yield "position", "" if state.queue_position is None else f"{state.queue_position} before it"
    yield "created", local(state.created_at)
    yield "scheduled for", local(state.scheduled_for)
    yield "next attempt", local(state.next_attempt_at)
    yield "started", local(state.started_at)
    yield "updated", local(state.updated_at)
    yield "cancel asked", local(state.cancel_requested_at)
    yield "deadline", local(state.deadline_at)
    yield "finished", local(state.finished_at)
    yield "took", run_time(state, now) if state.done else ""
    yield "expires", local(state.expires_at)
    yield "version", f"{state.version}"
    yield "metadata", printable(", ".join(f"{name}={value}" for name, value in state.metadata.items()))
    yield "rerun of", state.rerun_of or ""


def _event_line(event: Event) -> str:
    told = {name: value for name, value in event.data.items() if name not in _HEAD}
    return printable(f"{event.version:>6}  run {event.run}  {event.type:<8}  {json.dumps(told)}")


_HEAD = frozenset({"type", "operation", "version", "run", "time", "resource"})
