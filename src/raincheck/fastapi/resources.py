"""The operation routes: status, result, cancel, retry, delete, list."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from raincheck.core import wire
from raincheck.core.errors import ListDisabled, MalformedRequest, OperationFinished, RequestProblem
from raincheck.core.operation import Operation, Status
from raincheck.fastapi import delivery_documents, openapi, paging, stream_documents
from raincheck.fastapi.access import owner_parameter
from raincheck.fastapi.authorisation import Authorisation
from raincheck.fastapi.delivery_routes import DeliveryRoutes
from raincheck.fastapi.negotiation import (
    applied,
    clamped_wait,
    etag_matches,
    idempotency_key,
    parse_prefer,
)
from raincheck.fastapi.problems import problem_response
from raincheck.fastapi.results import result_response, retry_after_seconds
from raincheck.fastapi.stream_routes import StreamEndpoint, StreamRoutes
from raincheck.fastapi.tickets import TicketRoutes
from raincheck.fastapi.turning_away import RouterUnder, RoutesUnder
from raincheck.fastapi.websocket import SocketEndpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from fastapi import APIRouter, FastAPI
    from starlette.types import Receive, Scope, Send

    from raincheck.fastapi.serving import Gateway

    Handler = Callable[[Request, str], Awaitable[Response]]

_JSON = "application/json"
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
    routes = OperationHandlers(gateway, listed=owner is not None)
    caller = owner_parameter(owner)
    authorisation = Authorisation(
        owner=caller,
        guards=[*application.router.dependencies, *dependencies],
        prefix=gateway.prefix,
        application=application,
    )
    streams = StreamRoutes(gateway, authorisation=authorisation, listed=owner is not None)
    tickets = TicketRoutes(gateway)

    guarded = owner is not None or bool(dependencies)

    def add(path: str, method: str, handler: Handler, route: dict[str, Any], **options: Any) -> None:
        async def endpoint(request: Request, raincheck_owner: caller) -> Response:  # type: ignore[valid-type]
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

    add("/operations", "GET", routes.list_operations, openapi.LIST, include_in_schema=owner is not None)
    add("/operations/events", "GET", streams.get_operations_events, stream_documents.MANY_EVENTS)
    add("/operations/{operation_id}/tickets", "POST", tickets.create_operation_ticket, stream_documents.TICKET)
    add("/operations/{operation_id}", "GET", routes.get_operation, openapi.STATUS)
    add("/operations/{operation_id}/result", "GET", routes.get_operation_result, openapi.RESULT)
    add("/operations/{operation_id}/cancel", "POST", routes.cancel_operation, openapi.CANCEL)
    add("/operations/{operation_id}/retry", "POST", routes.retry_operation, openapi.RETRY)
    add("/operations/{operation_id}", "DELETE", routes.delete_operation, openapi.DELETE)
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


class OtherMethods:
    """Answers 405 with all methods of a path; by itself each route would only name its own (RFC 9110 §15.5.6)."""

    def __init__(self, allowed: str) -> None:
        self._allowed = allowed

    async def __call__(self, _scope: Scope, _receive: Receive, _send: Send) -> None:
        """Refuse."""
        raise HTTPException(405, headers={"Allow": self._allowed})


class OperationHandlers:
    """Handlers of the operation routes. An ``owner`` of None is the operator, who sees all."""

    def __init__(self, gateway: Gateway, *, listed: bool) -> None:
        self._gateway = gateway
        self._listed = listed

    async def get_operation(self, request: Request, owner: str | None) -> Response:
        """Return the operation; with `wait` hold until it is done, with `after` until its version is higher."""
        service = self._gateway.parts().service
        operation_id = request.path_params["operation_id"]
        preferences = parse_prefer(request.headers.getlist("prefer"))
        seconds, after = _long_poll(request)
        waited = seconds is None and preferences.wait is not None
        seconds = preferences.wait if seconds is None else seconds
        if seconds:
            operation = await service.wait(operation_id, owner=owner, seconds=seconds, after=after)
        else:
            operation = await service.get(operation_id, owner=owner)
        headers = {"ETag": f'W/"{operation.version}"', "Cache-Control": "private, no-cache"}
        preference = applied(preferences, waited=waited, asynchronous=False)
        if preference is not None:
            headers["Preference-Applied"] = preference
        if etag_matches(request.headers.get("if-none-match"), operation.version):
            return Response(status_code=304, headers=headers)
        return await self._resource(request, operation, headers=headers)

    async def get_operation_result(self, request: Request, owner: str | None) -> Response:
        """Replay the function's own answer: status, media type and bytes, with Range for files."""
        parts = self._gateway.parts()
        operation_id = request.path_params["operation_id"]
        wait = parse_prefer(request.headers.getlist("prefer")).wait
        if wait:
            operation = await parts.service.wait(operation_id, owner=owner, seconds=wait)
        else:
            operation = await parts.service.get(operation_id, owner=owner)
        advice = parts.service.poll_after(operation)
        response = await result_response(operation, request=request, blobs=parts.blobs, poll_after=advice)
        if wait is not None:
            response.headers["Preference-Applied"] = f"wait={int(wait)}"
        return response

    async def cancel_operation(self, request: Request, owner: str | None) -> Response:
        """Cancel what is queued; ask what is running to stop. Asking again gives the same answer."""
        service = self._gateway.parts().service
        operation = await service.cancel(request.path_params["operation_id"], owner=owner)
        if operation.status in {Status.SUCCEEDED, Status.FAILED}:
            detail = f"The operation has already {operation.status.value}; there is nothing left to cancel."
            raise OperationFinished(detail, operation_id=operation.id)
        status = 200 if operation.done else 202
        return await self._resource(request, operation, status=status)

    async def retry_operation(self, request: Request, owner: str | None) -> Response:
        """Submit the request of a failed or cancelled operation again, as a new operation."""
        service = self._gateway.parts().service
        keys = request.headers.getlist("idempotency-key")
        if len(keys) > 1:
            detail = f"Idempotency-Key was sent {len(keys)} times. Send it once."
            raise MalformedRequest(detail)
        key = idempotency_key(keys[0]) if keys else None
        submitted = await service.rerun(request.path_params["operation_id"], owner=owner, idempotency_key=key)
        operation = submitted.operation
        here = self._gateway.links(request).of(operation.id)["self"]
        headers = {"Location": here, "Operation-Location": here}
        if type(submitted).__name__ == "Replayed":
            headers["Idempotency-Replayed"] = "true"
        return await self._resource(request, operation, status=202, headers=headers)

    async def delete_operation(self, request: Request, owner: str | None) -> Response:
        """Delete a finished operation; its id answers 410 for a week."""
        await self._gateway.parts().service.delete(request.path_params["operation_id"], owner=owner)
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    async def list_operations(self, request: Request, owner: str | None) -> Response:
        """Return a page of the caller's operations, newest first, without their results."""
        if not self._listed:
            detail = "This application has no owner rule, so nobody may list. Configure Raincheck(owner=…)."
            raise ListDisabled(detail)
        service = self._gateway.parts().service
        pairs = request.query_params.multi_items()
        query = paging.list_query(pairs, owner=owner)
        found = await service.list_page(query)
        page = found[: query.limit - 1]
        links = self._gateway.links(request)
        items = [wire.resource(one, links=links, poll_after=service.poll_after(one), with_result=False) for one in page]
        headers = {"Cache-Control": "no-store"}
        following = "null"
        if len(found) > len(page):
            text = paging.page_token(query, last_id=page[-1].id)
            headers["Link"] = paging.next_link(links.base, pairs, text)
            following = f'"{text}"'
        body = b'{"items": [' + b", ".join(items) + b'], "next_page_token": ' + following.encode() + b"}"
        return Response(body, media_type=_JSON, headers=headers)

    async def _resource(
        self,
        request: Request,
        operation: Operation,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        service = self._gateway.parts().service
        advice = service.poll_after(operation)
        body = wire.resource(
            operation,
            links=self._gateway.links(request),
            poll_after=advice,
            queue_position=await service.queue_position(operation),
        )
        kept = {"Cache-Control": "no-store", **(headers or {})}
        if not operation.done:
            kept["Retry-After"] = str(retry_after_seconds(advice))
        return Response(body, status, media_type=_JSON, headers=kept)


def _long_poll(request: Request) -> tuple[float | None, int | None]:
    """Read ``?wait=`` and ``?after=``.

    :raises MalformedRequest: a parameter is not a number in range.
    """
    wait = _single(request, "wait")
    after = _single(request, "after")
    seconds = None if wait is None else clamped_wait(wait)
    if wait is not None and seconds is None:
        detail = "wait must be a number of seconds; at most 60 count."
        raise MalformedRequest(detail)
    if after is not None and not re.fullmatch(r"[0-9]{1,15}", after):
        detail = "after must be the version that the client has, a whole number."
        raise MalformedRequest(detail)
    return seconds, None if after is None else int(after)


def _single(request: Request, name: str) -> str | None:
    values = request.query_params.getlist(name)
    if len(values) > 1:
        detail = f"{name} was sent {len(values)} times. Send it once."
        raise MalformedRequest(detail)
    return values[0] if values else None
