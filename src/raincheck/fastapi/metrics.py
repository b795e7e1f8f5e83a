"""``{prefix}/metrics``: the figures as Prometheus reads them, behind a guard of the application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from raincheck.core.errors import NotReady
from raincheck.fastapi.problems import problem_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from raincheck.fastapi.serving import Gateway


def metrics_routes(gateway: Gateway, *, guard: Callable[..., object]) -> APIRouter:
    """Return the router of the metrics; the guard is a dependency that raises to refuse."""
    router = APIRouter(prefix=gateway.prefix, dependencies=[Depends(guard)], include_in_schema=False)

    async def metrics(request: Request) -> Response:
        if gateway.serving is None or gateway.serving.exposition is None:
            return problem_response(NotReady("The application is starting, or has ended.", retry_after=1))
        body, media_type = await gateway.serving.exposition(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})

    metrics.__annotations__ = {"request": Request, "return": Response}
    router.add_api_route("/metrics", metrics, methods=["GET"], response_class=Response)
    return router
