"""Problem documents as responses (RFC 9457)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException
from starlette.responses import Response

from raincheck.core import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def failure_response(problem: Problem, *, operation_id: str, headers: Mapping[str, str]) -> Response:
    """Return the response of a failed operation.

    :raises HTTPException: the function raised one; the application's own handlers render it.
    """
    if problem.http_detail is not None:
        kept = {name: value for name, value in problem.headers}  # noqa: C416 - a later one of a name counts
        raise HTTPException(problem.status, json.loads(problem.http_detail), {**kept, **headers})
    response = _response(wire.problem_fields(problem, operation_id=operation_id), problem.status)
    for name, value in headers.items():
        response.headers[name] = value
    return response


def _response(fields: dict[str, Any], status: int) -> Response:
    response = Response(json.dumps(fields).encode(), status, media_type=PROBLEM_JSON)
    response.headers["Cache-Control"] = "no-store"
    return response
