"""The routes of webhook deliveries: look, and send again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.responses import Response

from raincheck.core import delivery_wire

if TYPE_CHECKING:
    from starlette.requests import Request

    from raincheck.fastapi.serving import Gateway

_JSON = "application/json"
_HEADERS = {"Cache-Control": "no-store"}


class DeliveryRoutes:
    """Handlers of the delivery routes."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def list_operation_deliveries(self, request: Request, owner: str) -> Response:
        """List the operation's webhooks: their status, attempts and next attempt."""
        desk = self._gateway.parts().deliveries
        found = await desk.of_operation(request.path_params["operation_id"], owner=owner)
        body = delivery_wire.delivery_page(found, self._gateway.links(request))
        return Response(body, media_type=_JSON, headers=_HEADERS)

    async def redeliver_operation_delivery(self, request: Request, owner: str) -> Response:
        """Send a webhook again now, with the same `webhook-id`."""
        parameters = request.path_params
        desk = self._gateway.parts().deliveries
        found = await desk.redeliver(parameters["operation_id"], parameters["delivery_id"], owner=owner)
        body = json.dumps(delivery_wire.delivery_fields(found, self._gateway.links(request)))
        return Response(body, 202, media_type=_JSON, headers=_HEADERS)
