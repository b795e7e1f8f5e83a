"""Exceptions that a function raises on purpose, as problems that its client reads."""

from __future__ import annotations

import json
from http import HTTPStatus

from fastapi.encoders import jsonable_encoder
from starlette.exceptions import HTTPException

from raincheck.context import json_text
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
                code=str(exception.code),
                title=str(exception.title),
                status=exception.status,
                detail=None if exception.detail is None else str(exception.detail),
                extensions={str(name): _plain(value) for name, value in exception.extensions.items()},
            )
    return None


def _plain(value: object) -> object:
    """Return a value as clients will read it; what has no JSON form becomes text, since a failure must arrive."""
    try:
        return json.loads(json_text(value))
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _http_problem(exception: HTTPException) -> Problem:
    try:
        title = HTTPStatus(exception.status_code).phrase
    except ValueError:
        title = f"HTTP status {exception.status_code}"
    detail: object = exception.detail
    try:
        http_detail = json.dumps(jsonable_encoder(detail), allow_nan=False)
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
