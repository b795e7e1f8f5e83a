"""What the OpenAPI document says of the routes: every parameter, answer, header and link."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from fastapi.utils import deep_dict_update

from raincheck.core.operation import Status
from raincheck.fastapi.answers import Responses, failures, headers, links, problems, raised_on_purpose, refusals
from raincheck.fastapi.models import OperationPage, documented_operation

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


def parameter(name: str, where: str, description: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the documentation of an optional parameter."""
    return {"name": name, "in": where, "required": False, "description": description, "schema": schema, **more}


ID_PARAMETER = {
    "name": "operation_id",
    "in": "path",
    "required": True,
    "description": "The operation's `id`; unknown and malformed ids are one and the same 404",
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
    "Repeating a request with the same key gives the same operation; bare or as a quoted string",
    {
        "type": "string",
        "pattern": r'^([!#-~]([ -~]{0,253}[!-~])?|"([ !#-\[\]-~]|\\["\\]){1,255}")$',
        "examples": ["4f7d2c1e-2b7a-4b7e-9d52-6a1f0e8c9b13"],
    },
)
_IF_NONE_MATCH = parameter(
    "If-None-Match", "header", "Answer 304 when this version is still current", {"type": "string"}
)
_RANGE = parameter(
    "Range", "header", "A part of a file (RFC 9110 §14)", {"type": "string", "examples": ["bytes=0-1023"]}
)
_OPERATION: dict[str, Any] = {"model": documented_operation(Any), "links": links()}
_PLACES = headers("Location", "Operation-Location")
ANY_MEDIA_TYPE = "*/*"
_ANY_MEDIA: dict[str, Any] = {ANY_MEDIA_TYPE: {"schema": {}}}


def route(
    operation_id: str,
    summary: str,
    responses: Responses,
    *parameters: dict[str, Any],
    status_code: int = 200,
) -> dict[str, Any]:
    """Return the documentation of an operation route."""
    return {
        "response_model": None,
        "operation_id": operation_id,
        "summary": summary,
        "status_code": status_code,
        "responses": responses,
        "openapi_extra": {"parameters": [*parameters]},
    }


STATUS = route(
    "getOperation",
    "Get an operation",
    {
        200: {
            **_OPERATION,
            "description": "The operation, whatever its status",
            "headers": headers("ETag", "Cache-Control", sometimes=("Retry-After", "Preference-Applied")),
        },
        304: {
            "description": "The version has not changed",
            "headers": headers("ETag", "Cache-Control", sometimes=("Preference-Applied",)),
        },
        **problems(400, 404, 410, 503),
    },
    ID_PARAMETER,
    parameter(
        "wait",
        "query",
        "Hold the answer up to this many seconds (at most 60 count), until the operation is done",
        {"type": "number", "minimum": 0},
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
_RESULT_HEADERS = ("Operation-Id", "Operation-Status", "ETag", "Cache-Control")
_REPLAYED: dict[str, Any] = {
    "content": _ANY_MEDIA,
    "headers": headers(*_RESULT_HEADERS, sometimes=("Accept-Ranges", "Preference-Applied")),
}
RESULT = route(
    "getOperationResult",
    "Get an operation's result",
    {
        200: {"description": "What the function answered: its own status, media type and bytes", **_REPLAYED},
        206: {
            "description": "The part of a file that was asked for",
            "content": _ANY_MEDIA,
            "headers": headers(*_RESULT_HEADERS, sometimes=("Content-Range", "Accept-Ranges", "Preference-Applied")),
        },
        "2XX": {"description": "The same, where the function answers with another status", **_REPLAYED},
        304: {
            "description": "The result has not changed",
            "headers": headers(*_RESULT_HEADERS, sometimes=("Preference-Applied",)),
        },
        "3XX": {"description": "A redirect, where the function answers with one", **_REPLAYED},
        416: {
            "description": "The file has no such part",
            "headers": headers("Cache-Control", "Operation-Id", "Operation-Status", "Content-Range"),
        },
        **failures(400, 404, 409, 410, 500, 503, 504),
        **raised_on_purpose(),
    },
    ID_PARAMETER,
    _PREFER,
    _IF_NONE_MATCH,
    _RANGE,
)
CANCEL = route(
    "cancelOperation",
    "Cancel an operation",
    {
        200: {**_OPERATION, "description": "The operation is cancelled", "headers": headers("Cache-Control")},
        202: {
            **_OPERATION,
            "description": "The operation was asked to stop",
            "headers": headers("Retry-After", "Cache-Control"),
        },
        **problems(404, 409, 410, 503, 507),
    },
    ID_PARAMETER,
)
RETRY = route(
    "retryOperation",
    "Run a failed or cancelled operation again",
    {
        202: {
            **_OPERATION,
            "description": "A new operation with `rerun_of`",
            "headers": {
                **_PLACES,
                **headers("Cache-Control", sometimes=("Retry-After", "Idempotency-Replayed")),
            },
        },
        **problems(400, 404, 409, 410, 422, 429, 503, 507),
    },
    ID_PARAMETER,
    _KEY,
    status_code=202,
)
DELETE = route(
    "deleteOperation",
    "Delete a finished operation",
    {
        204: {"description": "The operation is deleted", "headers": headers("Cache-Control")},
        **problems(404, 409, 410, 503, 507),
    },
    ID_PARAMETER,
    status_code=204,
)
_MOMENT = {"type": "string", "format": "date-time"}
LIST = route(
    "listOperations",
    "List operations",
    {
        200: {
            "model": OperationPage,
            "description": "A page, newest first",
            "headers": headers("Cache-Control", sometimes=("Link",)),
        },
        **problems(400, 503),
    },
    parameter(
        "status",
        "query",
        "Only these statuses; repeat it for more than one",
        {"type": "array", "items": {"type": "string", "enum": [*map(str, Status)]}},
    ),
    parameter("kind", "query", "Only this kind", {"type": "string", "pattern": r"^[^\u0000]*$"}),
    parameter("created_after", "query", "Only those accepted at this time or later", _MOMENT),
    parameter("created_before", "query", "Only those accepted before", _MOMENT),
    parameter("page_size", "query", "At most 200 count", {"type": "integer", "minimum": 1, "maximum": 999999999}),
    parameter("page_token", "query", "`next_page_token` of the page before, with the same filters", {"type": "string"}),
)


def guarded(documented: dict[str, Any]) -> dict[str, Any]:
    """Return a route's documentation with what the application's guards answer."""
    return {**documented, "responses": {**refusals(), **documented["responses"]}}


def submit_parameters() -> list[dict[str, Any]]:
    """Return the headers that every submit route understands."""
    return deepcopy(_SUBMIT_PARAMETERS)


_STRUCTURED_STRING = r'"([ !#-\[\]-~]|\\["\\]){0,256}"'
_MEMBER = rf"[a-z*][a-z0-9_.*-]{{0,255}}={_STRUCTURED_STRING}"
_SUBMIT_PARAMETERS = [
    _PREFER,
    _KEY,
    parameter(
        "Operation-Timeout",
        "header",
        "Give up after this time, at most 366 days: seconds, or a number with ms, s, m, h, d or w",
        {
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9]+)? ?(ms|s|m|h|d|w)?$",
            "maxLength": 32,
            "examples": ["300", "5m"],
        },
    ),
    parameter(
        "Operation-Metadata",
        "header",
        "A dictionary of strings that stays with the operation (RFC 9651)",
        {"type": "string", "pattern": rf"^({_MEMBER}(, ?{_MEMBER}){{0,15}})?$", "examples": ['customer="42"']},
    ),
    parameter(
        "Operation-Delay",
        "header",
        "Run it this many seconds later; not together with Operation-Not-Before",
        {"type": "number", "minimum": 0, "maximum": 31622400, "examples": [60]},
    ),
    parameter(
        "Operation-Not-Before",
        "header",
        "Run it at this time or later, at most 366 days ahead: an RFC 3339 time or an HTTP date",
        {"type": "string", "examples": ["2030-01-31T12:00:00Z"]},
    ),
]


def submit_responses(result_status: int, result: dict[str, Any]) -> Responses:
    """Return what a submit route may answer.

    :param result_status: the status of the function's own answer.
    :param result: its documentation.
    """
    answer = {
        "headers": headers(
            "Operation-Id",
            "Operation-Status",
            "ETag",
            "Cache-Control",
            "Vary",
            sometimes=("Preference-Applied", "Idempotency-Replayed"),
        ),
        **result,
    }
    accepted: dict[str, Any] = {
        "description": "The operation is accepted and durable",
        "headers": {
            **_PLACES,
            **headers("Retry-After", "Cache-Control", "Vary", sometimes=("Preference-Applied", "Idempotency-Replayed")),
        },
        "links": links(),
    }
    errors = failures(400, 409, 410, 413, 422, 429, 500, 503, 504, 507)
    if result_status == 202:  # noqa: PLR2004 - one status for both: what only one of them carries is not promised
        either: dict[str, Any] = {**accepted["headers"], **answer["headers"]}
        either = {name: {**header, "required": False} for name, header in either.items()}
        return {202: {**answer, "headers": either, "links": links()}, **errors, **raised_on_purpose()}
    return {result_status: answer, 202: accepted, **errors, **raised_on_purpose()}


def with_responses(documented: Responses, given: Responses) -> Responses:
    """Return our responses with the user's own merged into them, as FastAPI merges them into its own."""
    merged = {**documented}
    for status, response in given.items():
        if status not in merged:
            merged[status] = response
            continue
        merged[status] = deepcopy(merged[status])
        if "content" in response:
            merged[status].get("content", {}).pop(ANY_MEDIA_TYPE, None)
        deep_dict_update(merged[status], response)
    return merged
