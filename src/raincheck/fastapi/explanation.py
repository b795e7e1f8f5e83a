"""Exceptions that a function raises on purpose, as problems that its client reads."""

from __future__ import annotations

import json
from http import HTTPStatus

from fastapi.encoders import jsonable_encoder
from starlette.exceptions import HTTPException

from raincheck.core.errors import OperationFailed
from raincheck.core.operation import Problem
from raincheck.fastapi.kept_headers import kept_headers


def explain(exception: BaseException) -> Problem | None:
    """Return the problem of an ``HTTPException`` or ``OperationFailed``, None for any other exception."""
    match exception:
        case HTTPException():
            return _http_problem(exception)
        case OperationFailed():
            return Problem(
                code=exception.code,
                title=exception.title,
                status=exception.status,
                detail=exception.detail,
                extensions=exception.extensions,
            )
    return None


def _http_problem(exception: HTTPException) -> Problem:
    try:
        title = HTTPStatus(exception.status_code).phrase
    except ValueError:
        title = f"HTTP status {exception.status_code}"
    detail: object = exception.detail
    try:
        http_detail = json.dumps(jsonable_encoder(detail))
    except (ValueError, TypeError, RecursionError):  # FastAPI could not have sent it either
        http_detail = json.dumps(title)
    return Problem(
        code="http-error",
        title=title,
        status=exception.status_code,
        detail=detail if isinstance(detail, str) else None,
        http_detail=http_detail,
        headers=kept_headers((exception.headers or {}).items()),
    )
