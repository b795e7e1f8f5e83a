"""The routes of the page's view of webhooks: endpoints, all deliveries, and what operators do about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raincheck.core.errors import MalformedRequest
from raincheck.dashboard import deliveries
from raincheck.dashboard.access import Viewer, record_endpoint, require_operator
from raincheck.dashboard.answers import answered

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from raincheck.dashboard.answers import Handler
    from raincheck.fastapi.serving import Gateway

_LONGEST_URL = 2048


class EndpointWish(BaseModel):
    """Which endpoint an action is about."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str = Field(max_length=_LONGEST_URL)


class WebhookHandlers:
    """Handlers of the view."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return path, method and handler of each."""
        return [
            ("/webhooks", "GET", self.get_endpoints),
            ("/webhooks/deliveries", "GET", self.get_log),
            ("/webhooks/enable", "POST", self.enable),
            ("/webhooks/test", "POST", self.try_out),
        ]

    async def get_endpoints(self, request: Request, _: Viewer) -> Response:
        """Return where webhooks go, and how those endpoints answer."""
        desk = self._gateway.parts().deliveries
        callbacks = desk.policy.callbacks
        links = self._gateway.links(request)
        return answered(
            {
                "items": [deliveries.as_endpoint(each, links) for each in await desk.endpoints()],
                "callbacks": None if callbacks is None else list(callbacks.allow),
            }
        )

    async def get_log(self, request: Request, _: Viewer) -> Response:
        """Return a page of all deliveries, newest first; ``before`` of the next page, None at the end."""
        query = deliveries.log_query(request.query_params)
        found = await self._gateway.parts().deliveries.log(query)
        shown = found[: deliveries.PAGE]
        links = self._gateway.links(request)
        before = shown[-1].id if len(found) > len(shown) else None
        return answered({"items": [deliveries.as_item(each, links) for each in shown], "before": before})

    async def enable(self, request: Request, visitor: Viewer) -> Response:
        """Enable a disabled endpoint; what was paused is sent."""
        url = await _wished(request)
        require_operator(request, visitor, f"enable {url!r}")
        await self._gateway.parts().deliveries.enable(url)
        record_endpoint(visitor, "enable", url)
        return answered({"url": url})

    async def try_out(self, request: Request, visitor: Viewer) -> Response:
        """Send a signed test message to a configured endpoint and return what it answered."""
        url = await _wished(request)
        require_operator(request, visitor, f"test {url!r}")
        attempt = await self._gateway.parts().deliveries.try_out(url)
        record_endpoint(visitor, "test", url)
        return answered(deliveries.as_attempt(attempt))


async def _wished(request: Request) -> str:
    try:
        return EndpointWish.model_validate_json(await request.body()).url
    except ValidationError as error:
        detail = f"The request cannot be read: {error.errors(include_url=False, include_input=False)[0]['msg']}."
        raise MalformedRequest(detail) from error
