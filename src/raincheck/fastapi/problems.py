"""Problem documents as responses (RFC 9457)."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from raincheck.core import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from raincheck.core.errors import RequestProblem
    from raincheck.core.operation import Problem

PROBLEM_JSON = "application/problem+json"


def problem_response(error: RequestProblem, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response of a request that cannot be served."""
    response = _response(wire.request_problem_fields(error), error.status)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response


async def failure_response(
    problem: Problem, *, operation_id: str, request: Request, headers: Mapping[str, str]
) -> Response:
    """Return the response of a failed operation; an ``HTTPException`` is rendered by the application's own handler.

    :raises HTTPException: the application has no handler for it; the server's own renders it.
    """
    if problem.http_detail is not None:
        kept = {name: value for name, value in problem.headers}  # noqa: C416 - a later one of a name counts
        error = HTTPException(problem.status, json.loads(problem.http_detail), {**kept, **headers})
        response = await _rendered_by_application(request, error)
    else:
        response = _response(wire.problem_fields(problem, operation_id=operation_id), problem.status)
    for name, value in headers.items():
        response.headers[name] = value
    return response


async def _rendered_by_application(request: Request, error: HTTPException) -> Response:
    """Call the handler as Starlette would, so that what it forgets of the exception's headers can be added."""
    by_class, by_status = request.scope.get("starlette.exception_handlers", ({}, {}))
    handler = by_status.get(error.status_code)
    if handler is None:
        handler = next((by_class[kind] for kind in type(error).__mro__ if kind in by_class), None)
    if handler is None:
        raise error
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None)):  # noqa: B004 - an object with an async __call__
        response = await handler(request, error)
    else:
        response = await run_in_threadpool(handler, request, error)
    if not isinstance(response, Response):
        raise error
    return response


def _response(fields: dict[str, Any], status: int) -> Response:
    response = Response(json.dumps(fields).encode(), status, media_type=PROBLEM_JSON)
    response.headers["Cache-Control"] = "no-store"
    return response
