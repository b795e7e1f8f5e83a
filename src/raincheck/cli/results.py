"""``raincheck result``: the bytes of a result, to a file or to a pipe."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import typer

from raincheck.cli.ending import NO_RESULT, UsageError
from raincheck.cli.looking import state_of
from raincheck.cli.server import connected, server_url
from raincheck.cli.showing import found_in
from raincheck.cli.view import opened_view
from raincheck.core.wire import is_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from raincheck.cli.view import View
    from raincheck.client import OperationHandle
    from raincheck.client.models import OperationState
    from raincheck.core.operation import Operation, StoredResult


def print_result(
    operation_id: str,
    *,
    url: str | None,
    headers: Sequence[str],
    store: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write the result of a finished operation; through a server an unfinished one is waited for.

    :raises UsageError: the file cannot be written.
    """
    server = server_url(url, store)
    if server is not None:
        with connected(server, headers) as client:
            handle = client.operation(operation_id)
            state = handle.wait()
            if as_json:
                print(json.dumps(_remote_document(handle, state, output)))
            else:
                write_result(handle, state, output)
    else:
        with opened_view(store) as view:
            operation = found_in(view, operation_id)
            state = state_of(operation)
            if as_json:
                print(json.dumps(_stored_document(operation, state, view, output)))
            elif state.succeeded:
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
        with _writing(output):
            handle.save(output)
    else:
        _to_stdout(handle.result(bytes))


def _write_stored(operation: Operation, view: View, output: Path | None) -> None:
    result = operation.result
    assert result is not None
    if output is None and result.blob is None:
        _to_stdout(result.body or b"")
        return
    pieces = _pieces(result, view)
    first = next(pieces, b"")  # before a file of the caller's is emptied
    with contextlib.ExitStack() as stack:
        if output is None:
            target: Any = sys.stdout.buffer
        else:
            stack.enter_context(_writing(output))
            target = stack.enter_context(output.open("wb"))
        target.write(first)
        target.writelines(pieces)
        target.flush()


def _pieces(result: StoredResult, view: View) -> Iterator[bytes]:
    return iter((result.body or b"",)) if result.blob is None else view.result_pieces(result.blob)


@contextlib.contextmanager
def _writing(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = f"{output} cannot be written ({error.strerror or error}). Name another file with -o."
        raise UsageError(msg) from error


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


# --- as JSON ----------------------------------------------------------------------------------------------------


def _remote_document(handle: OperationHandle, state: OperationState, output: Path | None) -> dict[str, Any]:
    if not state.succeeded:
        return _document(state)
    if output is not None:
        with _writing(output):
            return _document(state, size=handle.save(output), file=output)
    answer = handle.response()
    return _document(state, media_type=answer.headers.get("content-type"), content=answer.content)


def _stored_document(operation: Operation, state: OperationState, view: View, output: Path | None) -> dict[str, Any]:
    result = operation.result
    if result is None:
        return _document(state)
    if output is not None:
        _write_stored(operation, view, output)
        return _document(state, size=result.size, file=output)
    return _document(state, media_type=result.media_type, content=b"".join(_pieces(result, view)))


def _document(
    state: OperationState,
    *,
    media_type: str | None = None,
    content: bytes | None = None,
    size: int | None = None,
    file: Path | None = None,
) -> dict[str, Any]:
    """Return what ``--json`` prints: always the same fields, null where they say nothing."""
    encoding, shown = (None, None) if content is None else _encoded(content, media_type)
    return {
        "id": state.id,
        "status": state.status,
        "media_type": media_type,
        "size": size if content is None else len(content),
        "encoding": encoding,
        "content": shown,
        "file": None if file is None else str(file),
        "error": None if state.error is None else state.error.model_dump(mode="json"),
    }


def _encoded(content: bytes, media_type: str | None) -> tuple[str, Any]:
    """Return how bytes are written in JSON, and so written: as JSON where they are, as text, else as base64."""
    if is_json(media_type):
        with contextlib.suppress(ValueError):
            return "json", json.loads(content)
    try:
        return "text", content.decode()
    except UnicodeDecodeError:
        return "base64", base64.b64encode(content).decode()
