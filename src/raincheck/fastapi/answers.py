"""How the OpenAPI document describes answers: headers, problems and links."""

from __future__ import annotations

from typing import Any

from raincheck.core.operation import Status
from raincheck.fastapi.models import HTTPError, HTTPValidationError, OperationProblem
from raincheck.fastapi.problems import PROBLEM_JSON

Responses = dict[int | str, dict[str, Any]]

_TEXT = {"type": "string"}
_HEADERS: dict[str, dict[str, Any]] = {
    "Accept-Ranges": {"description": "bytes, where parts of the result can be asked for", "schema": _TEXT},
    "Cache-Control": {"description": "Who may keep the answer", "schema": _TEXT},
    "Content-Range": {"description": "Which part of the result this is", "schema": _TEXT},
    "ETag": {"description": "The version of what is returned", "schema": _TEXT},
    "Idempotency-Replayed": {
        "description": "The key was used before: this is the operation of then",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Link": {"description": "The next page, where one follows (RFC 8288)", "schema": _TEXT},
    "Location": {"description": "Where the operation is", "schema": _TEXT},
    "Operation-Id": {"description": "The operation", "schema": _TEXT},
    "Operation-Location": {"description": "Where the operation is", "schema": _TEXT},
    "Operation-Status": {"description": "Its status", "schema": {"type": "string", "enum": [*map(str, Status)]}},
    "Preference-Applied": {"description": "Which preference was honoured (RFC 7240)", "schema": _TEXT},
    "Retry-After": {
        "description": "Seconds until it is worth asking again",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Vary": {"description": "Which request headers choose the answer", "schema": _TEXT},
}
_PROBLEMS = {
    400: "A header, a parameter or the body is malformed",
    401: "The caller is not known",
    403: "The caller is not allowed to do this",
    404: "There is no such operation",
    409: "The operation's status does not allow this",
    410: "The operation was deleted or has expired",
    413: "The request body is too large",
    422: "The input is not valid, or the idempotency key was used with a different request",
    429: "Too many operations are waiting",
    500: "The operation failed",
    503: "The server is shutting down or its store is away",
    504: "The operation took longer than allowed",
    507: "The server has no storage left",
}
_WORTH_ANOTHER_TRY = frozenset({409, 429, 503, 507})
_LINKS = {
    "status": "getOperation",
    "result": "getOperationResult",
    "cancel": "cancelOperation",
    "retry": "retryOperation",
    "delete": "deleteOperation",
}


class _ProblemContent(dict[str, Any]):
    """The ``content`` of a problem: FastAPI puts the model under the route's media type, and problems have their own.

    The model, and not a ``$ref`` written by hand: its component has another name where a user's model has this one.
    """

    def setdefault(self, _key: str, default: Any = None) -> Any:
        return super().setdefault(PROBLEM_JSON, default)


class _EitherContent(dict[str, Any]):
    """The ``content`` of what is rendered as JSON or as a problem; a range of statuses has no second key."""

    def setdefault(self, key: str, default: Any = None) -> Any:
        self[PROBLEM_JSON] = super().setdefault(key, default)
        return self[key]


def headers(*always: str, sometimes: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the documentation of response headers."""
    sure = {name: {**_HEADERS[name], "required": True} for name in always}
    return {**sure, **{name: _HEADERS[name] for name in sometimes}}


def links() -> dict[str, Any]:
    """Return the links of an answer whose body is an operation."""
    return {
        name: {"operationId": target, "parameters": {"operation_id": "$response.body#/id"}}
        for name, target in _LINKS.items()
    }


def problems(*statuses: int) -> Responses:
    """Return the documentation of answers that are always problem documents."""
    found: Responses = {}
    for status in statuses:
        found[status] = {
            "description": _PROBLEMS[status],
            "model": OperationProblem,
            "content": _ProblemContent(),
            **_retry_after(status),
        }
    return found


def failures(*statuses: int) -> Responses:
    """Return the documentation of answers that may also be an ``HTTPException``, as the application renders it.

    Both media types of a status need a model each, and FastAPI takes one: hence the second key for the same status.
    The JSON names the problem too, because some generated clients read one media type only and take it for all.
    """
    found: Responses = {}
    for status in statuses:
        plain = OperationProblem | (HTTPValidationError if status == 422 else HTTPError)  # noqa: PLR2004
        found[status] = {"description": _PROBLEMS[status], "model": plain, **_retry_after(status)}
        found[str(status)] = {"model": OperationProblem, "content": _ProblemContent()}
    return found


def refusals() -> Responses:
    """Return the documentation of what the application's own guards answer."""
    return {status: {"description": _PROBLEMS[status], "model": HTTPError} for status in (401, 403)}


def raised_on_purpose() -> Responses:
    """Return the documentation of any other error that a function may raise."""
    description = "The error that the function raised on purpose, as the application renders it"
    found: Responses = {}
    for statuses in ("4XX", "5XX"):
        model = OperationProblem | HTTPError
        found[statuses] = {"description": description, "model": model, "content": _EitherContent()}
    return found


def _retry_after(status: int) -> dict[str, Any]:
    return {"headers": headers(sometimes=("Retry-After",))} if status in _WORTH_ANOTHER_TRY else {}
