"""Which operation routes there are, and who guards them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from raincheck.core.errors import RequestProblem
from raincheck.fastapi import delivery_documents, openapi, stream_documents
from raincheck.fastapi.access import owner_parameter
from raincheck.fastapi.authorisation import Authorisation
from raincheck.fastapi.delivery_routes import DeliveryRoutes
from raincheck.fastapi.other_methods import OtherMethods
from raincheck.fastapi.problems import problem_response
from raincheck.fastapi.resources import OperationHandlers
from raincheck.fastapi.stream_routes import StreamEndpoint, StreamRoutes
from raincheck.fastapi.tickets import TicketRoutes
from raincheck.fastapi.turning_away import RouterUnder, RoutesUnder
from raincheck.fastapi.websocket import SocketEndpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from fastapi import APIRouter, FastAPI

    from raincheck.fastapi.serving import Gateway

    Handler = Callable[[Request, str], Awaitable[Response]]

_DELIVERIES = "/operations/{operation_id}/deliveries"


class OperationRoutes(NamedTuple):
    """What an application includes: ``live`` goes first, and answers what ``routers`` documents of streams."""

    live: BaseRoute
    routers: list[APIRouter]


def operation_routes(
    gateway: Gateway,
    *,
    application: FastAPI,
    owner: Callable[..., Any] | None,
    dependencies: Sequence[Any],
    allowed_origins: Sequence[str] = (),
    webhooks: bool = False,
) -> OperationRoutes:
    """Return all operation routes, guarded by the dependencies.

    :param application: has dependencies of its own, which FastAPI adds to the routers and nobody to live routes.
    :param webhooks: whether the application sends any, so that there are deliveries to look at.
    """
    router = RouterUnder(
        f"{gateway.prefix}/operations",
        prefix=gateway.prefix,
        dependencies=list(dependencies),
        tags=["operations"],
    )
    caller = owner_parameter(owner)
    authorisation = Authorisation(
        owner=caller,
        guards=[*application.router.dependencies, *dependencies],
        prefix=gateway.prefix,
        application=application,
    )
    streams = StreamRoutes(gateway, authorisation=authorisation, listed=owner is not None)

    guarded = owner is not None or bool(dependencies)
    add = partial(_add, router, caller, guarded)
    _add_operations(add, gateway, streams, listed=owner is not None)
    if webhooks:
        deliveries = DeliveryRoutes(gateway)
        add(_DELIVERIES, "GET", deliveries.list_operation_deliveries, delivery_documents.DELIVERIES)
        redeliver = f"{_DELIVERIES}/{{delivery_id}}/redeliver"
        add(redeliver, "POST", deliveries.redeliver_operation_delivery, delivery_documents.REDELIVER)
    router.routes.append(Route(f"{router.prefix}/operations/{{operation_id}}", OtherMethods("DELETE, GET")))
    live = _live(
        gateway, streams, SocketEndpoint(gateway, authorisation=authorisation, allowed_origins=allowed_origins)
    )
    return OperationRoutes(live, [router, _unguarded(gateway, streams, guarded=guarded)])


def _add_operations(add: Callable[..., None], gateway: Gateway, streams: StreamRoutes, *, listed: bool) -> None:
    routes, tickets = OperationHandlers(gateway, listed=listed), TicketRoutes(gateway)
    add("/operations", "GET", routes.list_operations, openapi.LIST, include_in_schema=listed)
    add("/operations/events", "GET", streams.get_operations_events, stream_documents.MANY_EVENTS)
    add("/operations/{operation_id}/tickets", "POST", tickets.create_operation_ticket, stream_documents.TICKET)
    add("/operations/{operation_id}", "GET", routes.get_operation, openapi.STATUS)
    add("/operations/{operation_id}/result", "GET", routes.get_operation_result, openapi.RESULT)
    add("/operations/{operation_id}/cancel", "POST", routes.cancel_operation, openapi.CANCEL)
    add("/operations/{operation_id}/retry", "POST", routes.retry_operation, openapi.RETRY)
    add("/operations/{operation_id}", "DELETE", routes.delete_operation, openapi.DELETE)


def _add(
    router: APIRouter,
    caller: Any,
    guarded: bool,  # noqa: FBT001 - given once, by position
    path: str,
    method: str,
    handler: Handler,
    route: dict[str, Any],
    **options: Any,
) -> None:
    """Add a handler as a route of FastAPI.

    :param caller: the annotation of a parameter that is the owner.
    :param route: what the document says of it.
    """

    async def endpoint(request: Request, raincheck_owner: caller) -> Response:
        try:
            return await handler(request, raincheck_owner)
        except RequestProblem as problem:
            return problem_response(problem)

    endpoint.__name__ = handler.__name__
    endpoint.__doc__ = handler.__doc__
    endpoint.__annotations__ = {"request": Request, "raincheck_owner": caller, "return": Response}
    documented = openapi.guarded(route) if guarded else route
    kept = {"response_class": Response, **documented, **options}
    router.add_api_route(path, endpoint, methods=[method], **kept)


def _live(gateway: Gateway, streams: StreamRoutes, socket: SocketEndpoint) -> BaseRoute:
    """Return the routes whose connections stay open, without what FastAPI keeps for each."""
    operations = f"{gateway.prefix}/operations"
    routes: list[BaseRoute] = []
    for path, handler in (
        (f"{operations}/events", streams.events_of_callers_operations),
        (f"{operations}/{{operation_id}}/events", streams.get_operation_events),
    ):
        route = Route(path, StreamEndpoint(handler), methods=["GET"])
        route.methods = {"GET"}  # Starlette adds HEAD, and a stream without a body would never end
        routes += [route, Route(path, OtherMethods("GET"))]
    return RoutesUnder(operations, [*routes, WebSocketRoute(f"{operations}/ws", socket)])


def _unguarded(gateway: Gateway, streams: StreamRoutes, *, guarded: bool) -> APIRouter:
    """Return the route that runs the guards by itself, as a ticket may take their place."""
    router = RouterUnder(f"{gateway.prefix}/operations", prefix=gateway.prefix, tags=["operations"])

    async def get_operation_events(request: Request) -> Response:
        try:
            return await streams.get_operation_events(request)
        except RequestProblem as problem:
            return problem_response(problem)

    get_operation_events.__annotations__ = {"request": Request, "return": Response}
    documented = openapi.guarded(stream_documents.EVENTS) if guarded else stream_documents.EVENTS
    options = {"methods": ["GET"], **documented}
    router.add_api_route("/operations/{operation_id}/events", get_operation_events, **options)
    return router
