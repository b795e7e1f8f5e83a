"""What the OpenAPI document says of webhooks: the routes, the headers that ask for them, and what receivers get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.responses import Response

from raincheck.core.endpoints import TERMINAL_EVENTS, WebhookType
from raincheck.fastapi.answers import headers, problems
from raincheck.fastapi.delivery_models import OperationDeliveries, OperationDelivery, documented_webhook
from raincheck.fastapi.openapi import ID_PARAMETER, parameter, route

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.routing import BaseRoute

_ID = {
    "name": "delivery_id",
    "in": "path",
    "required": True,
    "description": "The delivery's `id`",
    "schema": {"type": "string", "title": "Delivery Id"},
}
DELIVERIES = route(
    "listOperationDeliveries",
    "List an operation's webhooks",
    {
        200: {
            "model": OperationDeliveries,
            "description": "Every webhook of the operation with its attempts",
            "headers": headers("Cache-Control"),
            "links": {
                "redeliver": {
                    "operationId": "redeliverOperationDelivery",
                    "parameters": {
                        "operation_id": "$request.path.operation_id",
                        "delivery_id": "$response.body#/items/0/id",
                    },
                },
            },
        },
        **problems(404, 410, 503),
    },
    ID_PARAMETER,
)
REDELIVER = route(
    "redeliverOperationDelivery",
    "Send a webhook again",
    {
        202: {
            "model": OperationDelivery,
            "description": "It is sent as soon as possible, with the same `webhook-id`",
            "headers": headers("Cache-Control"),
        },
        **problems(404, 410, 503, 507),
    },
    ID_PARAMETER,
    _ID,
    status_code=202,
)
_EVENT = "|".join(event.replace(".", r"\.") for event in WebhookType)
CALLBACK_PARAMETERS = [
    parameter(
        "Callback-Url",
        "header",
        "Where to POST a webhook when the operation ends (Standard Webhooks); the application says which URLs it calls",
        {"type": "string", "format": "uri", "examples": ["https://hooks.example.com/operations"]},
    ),
    parameter(
        "Callback-Events",
        "header",
        f"Which events to send there, with commas between; without it {', '.join(TERMINAL_EVENTS)}",
        {"type": "string", "pattern": f"^({_EVENT})( ?, ?({_EVENT}))*$", "examples": [", ".join(WebhookType)]},
    ),
]
_SIGNED = [
    {"name": name, "in": "header", "required": True, "description": description, "schema": {"type": "string"}}
    for name, description in (
        ("webhook-id", "The same in all attempts: process each id once"),
        ("webhook-timestamp", "Seconds since 1970 at this attempt; refuse what is older than five minutes"),
        (
            "webhook-signature",
            "`v1,` and the base64 HMAC-SHA256 of id, timestamp and body; several with spaces between",
        ),
    )
]
_TAKEN = "Any 2xx says that the webhook arrived; 410 stops it, and anything else is tried again"


def callback_routes(operation_id: str, result: Any) -> list[BaseRoute]:
    """Return the callback of a submit route: what is sent to the caller's own URL."""
    router = APIRouter()
    _add(router, "{$request.header.callback-url}", f"{operation_id}Callback", "The operation's own webhook", result)
    return [*router.routes]


def add_webhooks(router: APIRouter, events: Iterable[str]) -> None:
    """Document what is sent to the configured endpoints; ``router`` is the application's ``webhooks``."""
    for event in WebhookType:
        if event in set(events):
            name = event.rpartition(".")[2].capitalize()
            _add(router, event.value, f"operation{name}Webhook", f"An operation: {name.lower()}", Any)


def _add(router: APIRouter, path: str, operation_id: str, summary: str, result: Any) -> None:
    model = documented_webhook(result)

    async def receive(body: Any) -> None:
        """Verify the signature over the raw body, answer 2xx at once, and do the work later."""

    receive.__annotations__ = {"body": model, "return": None}
    router.add_api_route(
        path,
        receive,
        methods=["POST"],
        name="event",
        operation_id=operation_id,
        summary=summary,
        response_class=Response,
        response_model=None,
        responses={"2XX": {"description": _TAKEN}},
        status_code=204,
        response_description=_TAKEN,
        openapi_extra={"parameters": _SIGNED},
    )
