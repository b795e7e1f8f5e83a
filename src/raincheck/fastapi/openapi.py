"""What the OpenAPI document says of the routes: every answer, header and link."""

from __future__ import annotations

from typing import Any

from raincheck.core.operation import Status
from raincheck.fastapi.models import (
    HTTPValidationProblem,
    Operation,
    OperationPage,
    OperationTicket,
)
from raincheck.fastapi.problems import PROBLEM_JSON

EXPOSED_HEADERS = (
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "Operation-Id",
    "Operation-Location",
    "Operation-Status",
    "Preference-Applied",
    "Retry-After",
)
"""What a CORS configuration must expose: ``CORSMiddleware(…, expose_headers=EXPOSED_HEADERS)``."""

_DESCRIPTIONS = {
    400: "A header or parameter is malformed",
    401: "The ticket was refused",
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
_HEADERS: dict[str, dict[str, Any]] = {
    "Location": {"description": "Where the operation is", "schema": {"type": "string"}},
    "Operation-Location": {"description": "Where the operation is", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds until the next poll", "schema": {"type": "integer", "minimum": 1}},
    "ETag": {"description": "The version of what is returned", "schema": {"type": "string"}},
    "Preference-Applied": {"description": "Which preference was honoured (RFC 7240)", "schema": {"type": "string"}},
    "Idempotency-Replayed": {"description": "true when the key was used before", "schema": {"type": "string"}},
    "Operation-Id": {"description": "The operation", "schema": {"type": "string"}},
    "Operation-Status": {"description": "Its status", "schema": {"type": "string", "enum": [*Status]}},
    "Link": {"description": "The next page (RFC 8288)", "schema": {"type": "string"}},
}
_PROBLEM = {"$ref": "#/components/schemas/OperationProblem"}


def headers(*names: str) -> dict[str, Any]:
    """Return the documentation of response headers."""
    return {name: _HEADERS[name] for name in names}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of problem responses."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        entry: dict[str, Any] = {"description": _DESCRIPTIONS[status], "content": {PROBLEM_JSON: {"schema": _PROBLEM}}}
        if status in {429, 503, 507}:
            entry["headers"] = headers("Retry-After")
        found[status] = entry
    return found


def parameter(name: str, where: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the documentation of an optional parameter."""
    return {"name": name, "in": where, "required": False, "description": description, "schema": schema}


_ID_PARAMETER = {
    "name": "operation_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "title": "Operation Id"},
}
_PREFER = parameter(
    "Prefer",
    "header",
    "`wait=N`: wait up to N seconds (at most 60) for the answer; `respond-async`: do not (RFC 7240)",
    {"type": "string", "examples": ["wait=10", "respond-async"]},
)
_KEY = parameter(
    "Idempotency-Key",
    "header",
    "Repeating a request with the same key gives the same operation",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
)
_IF_NONE_MATCH = parameter(
    "If-None-Match", "header", "Answer 304 when this version is still current", {"type": "string"}
)
_OPERATION = {"model": Operation[Any], "description": "The operation"}
_COMMON = {"response_model": None}


def _route(
    operation_id: str,
    summary: str,
    responses: dict[int | str, dict[str, Any]],
    *parameters: dict[str, Any],
    status_code: int = 200,
) -> dict[str, Any]:
    return {
        **_COMMON,
        "operation_id": operation_id,
        "summary": summary,
        "status_code": status_code,
        "responses": responses,
        "openapi_extra": {"parameters": [*parameters]},
    }


STATUS = _route(
    "getOperation",
    "Get an operation",
    {
        200: {**_OPERATION, "headers": headers("ETag", "Retry-After", "Preference-Applied")},
        304: {"description": "The version has not changed", "headers": headers("ETag")},
        **problems(400, 404, 410, 503),
    },
    _ID_PARAMETER,
    parameter(
        "wait",
        "query",
        "Hold the answer up to this many seconds (at most 60 count), until the operation is done",
        {"type": "number", "minimum": 0, "maximum": 999999999},
    ),
    parameter(
        "after",
        "query",
        "With `wait`: hold only until the version is above this one",
        {"type": "integer", "minimum": 0, "maximum": 999999999999999},
    ),
    _PREFER,
    _IF_NONE_MATCH,
)
RESULT = _route(
    "getOperationResult",
    "Get an operation's result",
    {
        200: {
            "description": "What the function answered: its own status, media type and bytes",
            "content": {"application/json": {"schema": {}}, "application/octet-stream": {"schema": {"type": "string"}}},
            "headers": headers("Operation-Id", "Operation-Status", "ETag", "Preference-Applied"),
        },
        206: {"description": "A range of a file"},
        304: {"description": "The result has not changed", "headers": headers("ETag")},
        **problems(400, 404, 409, 410, 500, 503, 504),
        "default": {"description": "The error that the function raised on purpose"},
    },
    _ID_PARAMETER,
    _PREFER,
    _IF_NONE_MATCH,
)
CANCEL = _route(
    "cancelOperation",
    "Cancel an operation",
    {
        200: {**_OPERATION, "description": "The operation is cancelled"},
        202: {
            **_OPERATION,
            "description": "The operation was asked to stop",
            "headers": headers("Retry-After"),
        },
        **problems(404, 409, 410, 503, 507),
    },
    _ID_PARAMETER,
)
RETRY = _route(
    "retryOperation",
    "Run a failed or cancelled operation again",
    {
        202: {
            **_OPERATION,
            "description": "A new operation with `rerun_of`",
            "headers": headers("Location", "Operation-Location", "Retry-After", "Idempotency-Replayed"),
        },
        **problems(400, 404, 409, 410, 422, 429, 503, 507),
    },
    _ID_PARAMETER,
    _KEY,
    status_code=202,
)
DELETE = _route(
    "deleteOperation",
    "Delete a finished operation",
    {204: {"description": "The operation is deleted"}, **problems(404, 409, 410, 503, 507)},
    _ID_PARAMETER,
    status_code=204,
)
_CURSOR = parameter(
    "Last-Event-ID",
    "header",
    "The id of the last event that the reader has; browsers send it by themselves",
    {"type": "string"},
)
_STREAM = {
    "description": "Server-Sent Events until the operation is done",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
EVENTS = _route(
    "getOperationEvents",
    "Follow an operation live",
    {
        200: _STREAM,
        204: {"description": "Nothing follows the cursor: the operation is done. It stops an EventSource"},
        **problems(400, 401, 404, 410, 503),
    },
    _ID_PARAMETER,
    parameter("after", "query", "The cursor, where no header can be sent", {"type": "integer", "minimum": 0}),
    parameter("ticket", "query", "Takes the place of other authorisation", {"type": "string"}),
    _CURSOR,
)
TICKET = _route(
    "createOperationTicket",
    "Get a ticket for a browser's EventSource",
    {
        201: {"model": OperationTicket, "description": "First use within 60 seconds, afterwards only to resume"},
        **problems(404, 410, 503, 507),
    },
    _ID_PARAMETER,
    status_code=201,
)
MANY_EVENTS = _route(
    "getOperationsEvents",
    "Follow many operations over one connection",
    {200: _STREAM, 204: {"description": "Nothing follows the cursor"}, **problems(400, 404, 410, 503)},
    parameter("ids", "query", "Up to 100 ids, separated by commas; none: all that the caller owns", {"type": "string"}),
    parameter("after", "query", "The cursor, where no header can be sent", {"type": "string"}),
    _CURSOR,
)
LIST = _route(
    "listOperations",
    "List operations",
    {
        200: {"model": OperationPage, "description": "A page, newest first", "headers": headers("Link")},
        **problems(400, 503),
    },
    parameter(
        "status",
        "query",
        "Only these statuses (repeat it, or separate with commas)",
        {"type": "string", "enum": [*Status]},
    ),
    parameter("kind", "query", "Only this kind", {"type": "string"}),
    parameter(
        "created_after", "query", "Only those accepted at this time or later", {"type": "string", "format": "date-time"}
    ),
    parameter("created_before", "query", "Only those accepted before", {"type": "string", "format": "date-time"}),
    parameter("page_size", "query", "At most 200 count", {"type": "integer", "minimum": 1, "maximum": 999999999}),
    parameter("page_token", "query", "`next_page_token` of the page before, with the same filters", {"type": "string"}),
)


def submit_parameters() -> list[dict[str, Any]]:
    """Return the headers that every submit route understands."""
    seconds = {"type": "string", "examples": ["300", "5m"]}
    return [
        _PREFER,
        _KEY,
        parameter("Operation-Timeout", "header", "Give up after this time: seconds, or such as `5m`", seconds),
        parameter(
            "Operation-Metadata",
            "header",
            "A dictionary of strings that stays with the operation (RFC 9651)",
            {"type": "string", "examples": ['customer="42"']},
        ),
        parameter(
            "Operation-Delay", "header", "Run it this many seconds later", {"type": "string", "examples": ["60"]}
        ),
        parameter("Operation-Not-Before", "header", "Run it at this time or later", {"type": "string"}),
    ]


def submit_responses(result_status: int, result: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """Return what a submit route may answer.

    :param result_status: the status of the function's own answer.
    :param result: its documentation.
    """
    links = {
        name: {"operationId": target, "parameters": {"operation_id": "$response.body#/id"}}
        for name, target in (
            ("status", "getOperation"),
            ("result", "getOperationResult"),
            ("cancel", "cancelOperation"),
        )
    }
    answer = {
        **result,
        "headers": {**result.get("headers", {}), **headers("Operation-Id", "Operation-Status", "Preference-Applied")},
    }
    return {
        result_status: answer,
        202: {
            "description": "The operation is accepted and durable",
            "headers": headers(
                "Location", "Operation-Location", "Retry-After", "Preference-Applied", "Idempotency-Replayed"
            ),
            "links": links,
        },
        **problems(400, 409, 410, 413, 429, 500, 503, 504, 507),
        422: {
            "description": _DESCRIPTIONS[422],
            "model": HTTPValidationProblem,
            "content": {PROBLEM_JSON: {"schema": _PROBLEM}},
        },
    }
