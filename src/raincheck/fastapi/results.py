"""Replaying what the function answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from raincheck.core.errors import OperationWasCancelled, ResultNotReady
from raincheck.core.operation import Operation, Status
from raincheck.fastapi.problems import failure_response, problem_response
from raincheck.fastapi.replayed_file import ReplayedFile

if TYPE_CHECKING:
    from datetime import timedelta

    from starlette.requests import Request

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
    headers = {"Operation-Id": operation.id, "Operation-Status": operation.status.value, "Cache-Control": "no-store"}
    match operation.status:
        case Status.SUCCEEDED:
            return await _replay(operation, request, blobs, headers)
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


async def _replay(operation: Operation, request: Request, blobs: BlobStore, headers: dict[str, str]) -> Response:
    result = operation.result
    assert result is not None
    etag = f'"{result.etag}"'
    if result.blob is not None:
        path = await blobs.local_path(result.blob)
        response: Response = ReplayedFile(path, result.status_code, media_type=result.media_type)
        response.headers["ETag"] = etag
    else:
        response = Response(result.body, result.status_code)
        if result.media_type is not None:
            response.headers["Content-Type"] = result.media_type
        response.headers["ETag"] = etag
    for name, value in result.headers:
        if name.lower() not in _OURS:
            response.headers.append(name, value)
    for name, value in headers.items():
        response.headers[name] = value
    matches = request.headers.get("if-none-match")
    selects = matches is not None and request.method == "GET" and result.status_code == 200  # noqa: PLR2004
    if matches is not None and selects and (matches.strip() == "*" or etag in matches):
        kept = {"ETag": etag, **headers}
        return Response(status_code=304, headers=kept)
    return response


_OURS = frozenset({"etag", "content-type", "content-length", "cache-control", "last-modified", "accept-ranges"})
