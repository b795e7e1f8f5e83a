"""``raincheck run``, ``watch`` and ``logs``: following what happens, live."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from raincheck.cli.ending import INTERRUPTED, NO_RESULT, UsageError, tell_error
from raincheck.cli.formats import printable
from raincheck.cli.looking import UNFINISHED, events_in, matching_in, states_in
from raincheck.cli.results import write_result
from raincheck.cli.server import connected, needed_url, pair, server_url
from raincheck.client.display import ProgressDisplay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from raincheck.client import OperationHandle
    from raincheck.client.models import Event, OperationState

_MOST = 100


def run_operation(
    path: str,
    *,
    url: str | None,
    headers: Sequence[str],
    method: str,
    data: str | None,
    parameters: Sequence[str],
    metadata: Sequence[str],
    key: str | None,
    timeout: str | None,
    detach: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Submit an operation, show how it goes on, and print its result; its end decides the exit code."""
    options: dict[str, Any] = {
        "method": method.upper(),
        "params": [pair(text, "--param") for text in parameters] or None,
        "metadata": dict(pair(text, "--metadata") for text in metadata) or None,
        "timeout": timeout,
        "json": _body(data),
    }
    if key is not None:
        options["idempotency_key"] = key
    with connected(needed_url(url), headers) as client:
        try:
            handle = client.submit(path, **options)
        except ValueError as error:
            raise UsageError(str(error)) from error
        if detach:
            print(json.dumps(_fields(handle.state)) if as_json else handle.id)
            return
        try:
            state = _followed(handle, as_json=as_json)
        except KeyboardInterrupt:
            _tell_interrupted(handle.id, as_json=as_json)
            raise typer.Exit(INTERRUPTED) from None
        if not as_json or (output is not None and state.succeeded):
            write_result(handle, state, output)
        if not state.succeeded:
            raise typer.Exit(NO_RESULT)


def _tell_interrupted(operation_id: str, *, as_json: bool) -> None:
    text = f"The operation goes on: raincheck watch {operation_id}"
    if as_json:
        tell_error(text, code="interrupted", as_json=True, operation=operation_id)
    else:
        print(text, file=sys.stderr)


def _body(data: str | None) -> Any:
    if data is None:
        return None
    try:
        text = sys.stdin.read() if data == "-" else Path(data[1:]).read_text("utf-8") if data[:1] == "@" else data
        return json.loads(text)
    except (OSError, ValueError) as error:
        msg = f"--data {data!r} is no JSON: {error}. Write JSON, @file, or - for standard input."
        raise UsageError(msg) from error


def _followed(handle: OperationHandle, *, as_json: bool) -> OperationState:
    """Show the operation until it is done: events as JSON lines, or a bar with log lines above it."""
    if as_json:
        for event in handle.events(after=0):
            print(_event_json(event), flush=True)
        return handle.wait()
    with ProgressDisplay() as display:
        assert handle.state is not None
        display.update(handle.state)
        for event in handle.events(after=0):
            if event.type in _LINES:
                display.print(_line(event))
            display.update(handle.state)
    return handle.wait()


# --- watch ------------------------------------------------------------------------------------------------------


def watch_operations(
    ids: Sequence[str], *, url: str | None, headers: Sequence[str], store: str | None, as_json: bool
) -> None:
    """Show a live bar for each operation until all are done; without ids for all that are not finished."""
    good, seen = True, False
    with ExitStack() as stack:
        show = None if as_json else stack.enter_context(ProgressDisplay()).update
        for state in _states(ids, stack, url=url, headers=headers, store=store):
            if show is None:
                print(json.dumps(_fields(state)), flush=True)
            else:
                show(state)
            good, seen = good and (state.succeeded or not state.done), True
    if not seen and not as_json:
        print("No operation is under way.")
    if not good:
        raise typer.Exit(NO_RESULT)


def _states(
    ids: Sequence[str], stack: ExitStack, *, url: str | None, headers: Sequence[str], store: str | None
) -> Iterator[OperationState]:
    server = server_url(url, store)
    if server is None:
        return states_in(store, list(ids) or matching_in(store, statuses=UNFINISHED))
    client = stack.enter_context(connected(server, headers))
    wanted = list(ids) or [state.id for state in client.list(status=UNFINISHED, limit=_MOST)]
    if len(wanted) > _MOST:
        msg = f"At most {_MOST} operations can be watched through a server at once, not {len(wanted)}."
        raise UsageError(msg)
    return client.watch(wanted) if wanted else iter(())


# --- logs -------------------------------------------------------------------------------------------------------


def print_log(
    operation_id: str, *, follow: bool, url: str | None, headers: Sequence[str], store: str | None, as_json: bool
) -> None:
    """Print log lines and output of an operation; with ``follow`` those that come later too."""
    server = server_url(url, store)
    with ExitStack() as stack:
        if server is None:
            events = events_in(store, operation_id, follow=follow)
        else:
            client = stack.enter_context(connected(server, headers))
            events = _log(client.operation(operation_id), follow=follow)
        for event in events:
            if as_json:
                print(_event_json(event), flush=True)
            elif event.type in _LINES:
                print(_line(event), flush=True)


def _log(handle: OperationHandle, *, follow: bool) -> Iterator[Event]:
    newest = handle.refresh().version
    for event in handle.events(after=0):
        if not follow and event.version > newest:
            return
        yield event
        if not follow and event.version >= newest:
            return


_LINES = frozenset({"log", "output"})


def _line(event: Event) -> str:
    if event.type == "log":
        return printable(f"{event.level.upper():<8} {event.message}")
    chunk = event.chunk
    return printable(chunk if isinstance(chunk, str) else json.dumps(chunk, ensure_ascii=False), lines=True)


def _event_json(event: Event) -> str:
    return json.dumps(dict(event.data))


def _fields(state: OperationState | None) -> Any:
    return None if state is None else state.model_dump(mode="json")
