"""The probes of orchestrators: whether this process answers, and whether it can serve.

They need no credentials and reveal nothing: no address, no version, no figure. Of the application's own guards none
runs before them, and the OpenAPI document leaves them out, since no client calls them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from raincheck.core.errors import NotReady
from raincheck.fastapi.other_methods import OtherMethods
from raincheck.fastapi.problems import problem_response
from raincheck.fastapi.turning_away import RoutesUnder

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from raincheck.fastapi.serving import Gateway

_HEADERS = {"Cache-Control": "no-store"}


def health_routes(gateway: Gateway) -> BaseRoute:
    """Return ``{prefix}/health/live`` and ``{prefix}/health/ready``."""

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "live"}, headers=_HEADERS)

    async def ready(_request: Request) -> Response:
        if gateway.serving is None:
            return problem_response(NotReady("The application is starting, or has ended.", retry_after=1))
        try:
            await gateway.serving.readiness.check()
        except NotReady as refusal:
            return problem_response(refusal)
        return JSONResponse({"status": "ready"}, headers=_HEADERS)

    folder = f"{gateway.prefix}/health/"
    routes: list[BaseRoute] = []
    for name, probe in (("live", live), ("ready", ready)):
        path = f"{folder}{name}"
        routes += [Route(path, probe, methods=["GET"]), Route(path, OtherMethods("GET, HEAD"))]
    return RoutesUnder(folder, routes)
