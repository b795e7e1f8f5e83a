"""What the OpenAPI document says of the stream routes."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from raincheck.fastapi.answers import failures, headers, problems
from raincheck.fastapi.event_models import OperationEvent, OperationTicket
from raincheck.fastapi.openapi import ID_PARAMETER, parameter, route


class EventStreamResponse(JSONResponse):
    """Names the media type under which the events are documented; for other classes FastAPI says it is a string."""

    media_type = "text/event-stream"


_CURSOR = parameter(
    "Last-Event-ID",
    "header",
    "The id of the last event that the reader has; browsers send it by themselves",
    {"type": "string"},
)
_STREAM: dict[str, Any] = {
    "model": OperationEvent,
    "description": "Server-Sent Events until the operations are done; the schema is that of each event's data",
    "headers": headers("Cache-Control"),
}
_OVER = {"description": "Nothing can follow the cursor: it is done. This stops an EventSource"}
EVENTS: dict[str, Any] = {
    **route(
        "getOperationEvents",
        "Follow an operation live",
        {200: _STREAM, 204: _OVER, **problems(400, 404, 410, 503), **failures(401)},
        ID_PARAMETER,
        parameter(
            "after",
            "query",
            "The cursor, where no header can be sent",
            {"type": "integer", "minimum": 0, "maximum": 999999999999999},
        ),
        parameter("ticket", "query", "Takes the place of other authorisation", {"type": "string"}),
        _CURSOR,
    ),
    "response_class": EventStreamResponse,
}
MANY_EVENTS: dict[str, Any] = {
    **route(
        "getOperationsEvents",
        "Follow many operations over one connection",
        {200: _STREAM, 204: _OVER, **problems(400, 404, 410, 503)},
        parameter("ids", "query", "Up to 100 ids, with commas between; none: all of the caller", {"type": "string"}),
        parameter("after", "query", "The cursor, where no header can be sent", {"type": "string"}),
        _CURSOR,
    ),
    "response_class": EventStreamResponse,
}
TICKET = route(
    "createOperationTicket",
    "Get a ticket for a browser's EventSource",
    {
        201: {
            "model": OperationTicket,
            "description": "First use within 60 seconds, afterwards only to resume",
            "headers": headers("Cache-Control"),
        },
        **problems(404, 410, 503, 507),
    },
    ID_PARAMETER,
    status_code=201,
)
