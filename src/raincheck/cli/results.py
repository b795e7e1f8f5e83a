"""``raincheck result``: the bytes of a result, to a file or to a pipe."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import typer

from raincheck.cli.ending import NO_RESULT
from raincheck.cli.looking import state_of
from raincheck.cli.server import connected, server_url
from raincheck.cli.showing import found_in
from raincheck.cli.view import opened_view

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from raincheck.cli.view import View
    from raincheck.client import OperationHandle
    from raincheck.client.models import OperationState
    from raincheck.core.operation import Operation


def print_result(
    operation_id: str, *, url: str | None, headers: Sequence[str], store: str | None, output: Path | None
) -> None:
    """Write the result of a finished operation; through a server an unfinished one is waited for."""
    server = server_url(url, store)
    if server is not None:
        with connected(server, headers) as client:
            handle = client.operation(operation_id)
            state = handle.wait()
            write_result(handle, state, output)
    else:
        with opened_view(store) as view:
            operation = found_in(view, operation_id)
            state = state_of(operation)
            if state.succeeded:
                _write_stored(operation, view, output)
            else:
                _explain(state)
    if not state.succeeded:
        raise typer.Exit(NO_RESULT)


def write_result(handle: OperationHandle, state: OperationState, output: Path | None) -> None:
    """Write the result of an operation that is done, or say why there is none."""
    if not state.succeeded:
        _explain(state)
    elif output is not None:
        handle.save(output)
    else:
        _to_stdout(handle.result(bytes))


def _write_stored(operation: Operation, view: View, output: Path | None) -> None:
    result = operation.result
    assert result is not None
    if result.blob is None:
        content = result.body or b""
        if output is None:
            _to_stdout(content)
        else:
            output.write_bytes(content)
        return
    pieces = view.result_pieces(result.blob)
    first = next(pieces, b"")  # before a file of the caller's is emptied
    with contextlib.ExitStack() as stack:
        target = sys.stdout.buffer if output is None else stack.enter_context(output.open("wb"))
        target.write(first)
        target.writelines(pieces)
        target.flush()


def _to_stdout(content: bytes) -> None:
    """Write the bytes as they are; a terminal gets the line end that JSON has none of."""
    sys.stdout.buffer.write(content)
    if sys.stdout.isatty() and not content.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


def _explain(state: OperationState) -> None:
    """Say on stderr why there is no result."""
    if state.error is not None:
        typer.secho(f"{state.id} failed. {state.error}", fg="red", err=True)
    else:
        typer.secho(f"{state.id} is {state.status} and has no result.", fg="red", err=True)
