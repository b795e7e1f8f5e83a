"""Replaying what the function answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raincheck.core.errors import OperationWasCancelled, ResultNotReady
from raincheck.core.operation import Operation, Status
from raincheck.fastapi.problems import failure_response, problem_response
from raincheck.fastapi.ready_response import ReadyResponse
from raincheck.fastapi.replayed_file import ReplayedFile

if TYPE_CHECKING:
    from datetime import timedelta

    from starlette.requests import Request
    from starlette.responses import Response

    from raincheck.ports import BlobStore


async def result_response(
    operation: Operation,
    *,
    request: Request,
    blobs: BlobStore,
    poll_after: timedelta | None = None,
) -> Response:
    """Return the function's own answer: status, media type, headers and bytes; or why there is none.

    :raises HTTPException: the function raised one that no handler of the application renders.
    """
    if operation.status is Status.SUCCEEDED:
        return await _replay(operation, request, blobs)
    headers = {name.decode().title(): value.decode() for name, value in _said_of(operation)}
    match operation.status:
        case Status.FAILED if operation.error is not None:
            return await failure_response(operation.error, operation_id=operation.id, request=request, headers=headers)
        case Status.CANCELLED:
            detail = "The operation was cancelled before it had a result. Submit the request again, or retry it."
            return problem_response(OperationWasCancelled(detail, operation_id=operation.id), headers=headers)
        case _:
            seconds = 1 if poll_after is None else retry_after_seconds(poll_after)
            detail = (
                f"The operation is {operation.status.value}. Ask again later, or wait for it with `Prefer: wait=30`."
            )
            error = ResultNotReady(detail, operation_id=operation.id, retry_after=seconds)
            return problem_response(error, headers=headers)


def retry_after_seconds(wait: timedelta) -> int:
    """Return a ``Retry-After`` in whole seconds, at least 1."""
    return max(1, round(wait.total_seconds()))


def _said_of(operation: Operation) -> list[tuple[bytes, bytes]]:
    """Return the headers of every answer about a result."""
    return [
        (b"operation-id", operation.id.encode()),
        (b"operation-status", operation.status.value.encode()),
        (b"cache-control", b"no-store"),
    ]


async def _replay(operation: Operation, request: Request, blobs: BlobStore) -> Response:
    result = operation.result
    assert result is not None
    etag = b'"%b"' % result.etag.encode()
    headers = [(b"etag", etag), *_said_of(operation)]
    if result.status_code == 200 and request.method == "GET" and _caller_has(request, etag.decode()):  # noqa: PLR2004
        return ReadyResponse(b"", 304, headers)
    for name, value in result.headers:
        lower = name.lower()
        if lower not in _OURS:
            headers.append((lower.encode("latin-1"), value.encode("latin-1")))
    if result.blob is None:
        if result.media_type is not None:
            headers.insert(0, (b"content-type", result.media_type.encode("latin-1")))
        return ReadyResponse(result.body or b"", result.status_code, headers)
    response = ReplayedFile(await blobs.local_path(result.blob), result.status_code, media_type=result.media_type)
    response.raw_headers += headers
    return response


def _caller_has(request: Request, etag: str) -> bool:
    """Tell whether the caller has this result already (RFC 9110 §13.1.2)."""
    known = request.headers.get("if-none-match")
    return known is not None and (known.strip() == "*" or etag in known)


_OURS = frozenset({
    "etag",
    "content-type",
    "content-length",
    "cache-control",
    "last-modified",
    "accept-ranges",
    "operation-id",
    "operation-status",
    "preference-applied",
    "idempotency-replayed",
})  # fmt: skip
