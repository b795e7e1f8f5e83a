"""The routes of the operator's page: itself, and under ``api`` what it reads and does.

``api/operations…`` speaks the wire contract, so the page uses the public client; here it sees what anyone owns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from raincheck.core.errors import MalformedRequest, RequestProblem
from raincheck.dashboard import bulk, deliveries, figures, page
from raincheck.dashboard.access import Operator, Viewer, record, require_operator, visitor_parameter
from raincheck.dashboard.answers import answered
from raincheck.dashboard.webhook_routes import WebhookHandlers
from raincheck.fastapi.cursors import given_cursor, version_cursor
from raincheck.fastapi.delivery_routes import DeliveryRoutes
from raincheck.fastapi.paging import page_token
from raincheck.fastapi.problems import problem_response
from raincheck.fastapi.resources import OperationHandlers
from raincheck.fastapi.serving import Gateway, Serving
from raincheck.fastapi.stream_routes import StreamRoutes
from raincheck.fastapi.turning_away import RouterUnder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fastapi import APIRouter

    from raincheck.dashboard.answers import Handler
    from raincheck.ports_functions import Kind


class _Inner(Gateway):
    """The gateway whose links stay inside of the page's own routes."""

    def __init__(self, outer: Gateway) -> None:
        super().__init__(prefix=f"{outer.prefix}/dashboard/api", delivered=outer.delivered)
        self._outer = outer

    def parts(self) -> Serving:
        return self._outer.parts()


def dashboard_routes(gateway: Gateway, *, guard: Callable[..., Any], kinds: Mapping[str, Kind]) -> APIRouter:
    """Return the router of the page. The guard runs before each of its routes, the assets included.

    :param guard: a FastAPI dependency; see ``dashboard.access`` for what it may return.
    """
    here = f"{gateway.prefix}/dashboard"
    router = RouterUnder(here, prefix=here, include_in_schema=False)
    caller = visitor_parameter(guard)
    handlers = _Handlers(_Inner(gateway), kinds=kinds)

    def add(path: str, method: str, handler: Handler) -> None:
        async def endpoint(request: Request, visitor: caller) -> Response:  # type: ignore[valid-type]
            try:
                return await handler(request, visitor)
            except RequestProblem as problem:
                return problem_response(problem)

        endpoint.__name__ = handler.__name__
        endpoint.__annotations__ = {"request": Request, "visitor": caller, "return": Response}
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)

    async def asset(request: Request, _: Viewer) -> Response:
        return page.asset(request.path_params["name"])

    async def document(request: Request, _: Viewer) -> Response:
        return page.document(request, prefix=gateway.prefix)

    for path, method, handler in handlers.routes():
        add(f"/api{path}", method, handler)
    add("/assets/{name:path}", "GET", asset)
    add("", "GET", document)
    add("/{path:path}", "GET", document)  # the page itself tells its views apart
    return router


class _Handlers:
    def __init__(self, gateway: Gateway, *, kinds: Mapping[str, Kind]) -> None:
        self._gateway = gateway
        self._kinds = kinds
        self._figures = figures.Figures()
        self._operations = OperationHandlers(gateway, listed=True)
        self._streams = StreamRoutes(gateway, authorisation=None, listed=True)
        self._deliveries = DeliveryRoutes(gateway)
        self._webhooks = WebhookHandlers(gateway)

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("/session", "GET", self.get_session),
            ("/overview", "GET", self.get_overview),
            ("/workers", "GET", self.get_workers),
            ("/openapi", "GET", self.get_openapi),
            ("/count/{action}", "GET", self.count),
            ("/bulk", "POST", self.act_on_many),
            *self._webhooks.routes(),
            ("/operations", "GET", self.list_operations),
            ("/operations/events", "GET", self.follow_many),
            ("/operations/{operation_id}/events", "GET", self.follow_one),
            ("/operations/{operation_id}", "GET", self.get_operation),
            ("/operations/{operation_id}/details", "GET", self.get_details),
            ("/operations/{operation_id}/result", "GET", self.get_result),
            ("/operations/{operation_id}/deliveries", "GET", self.get_deliveries),
            ("/operations/{operation_id}/deliveries/{delivery_id}/redeliver", "POST", self.redeliver),
            ("/operations/{operation_id}/cancel", "POST", self.cancel_operation),
            ("/operations/{operation_id}/retry", "POST", self.retry_operation),
            ("/operations/{operation_id}/submitted", "POST", self.note_submitted),
            ("/operations/{operation_id}", "DELETE", self.delete_operation),
            ("/{path:path}", "GET", self.unknown),
        ]

    # --- looking ------------------------------------------------------------------------------------------------

    async def get_session(self, request: Request, visitor: Viewer) -> Response:
        """Return who looks, and what there is."""
        kinds = [
            {
                "name": kind.name,
                "executor": kind.executor,
                "queue": kind.queue,
                "attempts": kind.retry.attempts,
                "timeout_seconds": None if kind.timeout is None else kind.timeout.total_seconds(),
            }
            for kind in self._kinds.values()
        ]
        title = getattr(request.app, "title", "")
        may_act = isinstance(visitor, Operator)
        webhooks = bool(self._gateway.parts().deliveries.policy)
        return answered(
            {"name": visitor.name, "operator": may_act, "title": title, "kinds": kinds, "webhooks": webhooks}
        )

    async def get_overview(self, request: Request, _: Viewer) -> Response:
        """Return the figures of a window."""
        length, bucket = figures.window(request.query_params.get("minutes"))
        return answered(await self._figures.of(self._gateway.parts(), length=length, bucket=bucket))

    async def get_workers(self, request: Request, _: Viewer) -> Response:
        """Return who works."""
        return answered({"items": await figures.workers(self._gateway.parts(), self._gateway.links(request))})

    async def get_openapi(self, request: Request, _: Viewer) -> Response:
        """Return the application's document, also where it is not published, for the form of a run."""
        return answered({"root_path": request.scope.get("root_path", ""), "document": request.app.openapi()})

    async def list_operations(self, request: Request, _: Viewer) -> Response:
        """Return a page of anyone's operations, newest first, with what only operators see."""
        parts = self._gateway.parts()
        query = bulk.query_of(request.query_params.multi_items())
        found = await parts.service.list_page(query)
        shown = found[: query.limit - 1]
        token = page_token(query, last_id=shown[-1].id) if len(found) > len(shown) else None
        links = self._gateway.links(request)
        items = [figures.as_item(each, parts, links) for each in shown]
        return answered({"items": items, "next_page_token": token})

    async def get_operation(self, request: Request, _: Viewer) -> Response:
        """Return an operation."""
        return await self._operations.get_operation(request, None)

    async def get_details(self, request: Request, _: Viewer) -> Response:
        """Return what clients never see of it."""
        operation = await self._gateway.parts().service.get(request.path_params["operation_id"], owner=None)
        return answered(figures.details(operation, self._kinds.get(operation.kind)))

    async def get_result(self, request: Request, _: Viewer) -> Response:
        """Return the function's own answer, always as a download: it may be a page with scripts in it."""
        answer = await self._operations.get_operation_result(request, None)
        # What stands before the first semicolon is how to show it (RFC 6266 §4.2); the rest names the file.
        named = "".join(answer.headers.get("content-disposition", "").partition(";")[1:])
        answer.headers["Content-Disposition"] = f"attachment{named}"
        answer.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    async def get_deliveries(self, request: Request, _: Viewer) -> Response:
        """Return the webhooks of an operation, oldest first."""
        desk = self._gateway.parts().deliveries
        found = await desk.of_operation(request.path_params["operation_id"], owner=None)
        links = self._gateway.links(request)
        return answered({"items": [deliveries.as_item(each, links) for each in found]})

    async def follow_one(self, request: Request, _: Viewer) -> Response:
        """Stream an operation's events."""
        text = given_cursor(request)
        cursor = None if text is None else version_cursor(text)
        return await self._streams.of_one(request, self._gateway.parts(), owner=None, cursor=cursor)

    async def follow_many(self, request: Request, _: Viewer) -> Response:
        """Stream many operations, or the status of all."""
        return await self._streams.get_operations_events(request, None)

    async def count(self, request: Request, _: Viewer) -> Response:
        """Return how many operations an action would reach."""
        action = request.path_params["action"]
        if action not in {"cancel", "retry"}:
            detail = f"{action[:40]!r} is no action on many operations. Use cancel or retry."
            raise MalformedRequest(detail)
        return answered(await bulk.count(self._gateway.parts(), action, request.query_params.multi_items()))

    async def unknown(self, _request: Request, _: Viewer) -> Response:
        """Refuse what is no route, in place of the page."""
        detail = "There is no such route of the operator's page."
        raise MalformedRequest(detail)

    # --- acting -------------------------------------------------------------------------------------------------

    async def cancel_operation(self, request: Request, visitor: Viewer) -> Response:
        """Cancel an operation."""
        return await self._act(request, visitor, "cancel", self._operations.cancel_operation)

    async def retry_operation(self, request: Request, visitor: Viewer) -> Response:
        """Submit its request again."""
        return await self._act(request, visitor, "retry", self._operations.retry_operation)

    async def delete_operation(self, request: Request, visitor: Viewer) -> Response:
        """Delete a finished operation."""
        return await self._act(request, visitor, "delete", self._operations.delete_operation)

    async def redeliver(self, request: Request, visitor: Viewer) -> Response:
        """Send a webhook again now."""
        return await self._act(request, visitor, "redeliver", self._deliveries.redeliver_operation_delivery)

    async def note_submitted(self, request: Request, visitor: Viewer) -> Response:
        """Write down what the page's form has submitted: it speaks to the application's own route, unlike this one."""
        operation_id = request.path_params["operation_id"]
        require_operator(request, visitor, f"note {operation_id}")
        operation = await self._gateway.parts().service.get(operation_id, owner=None)
        record(visitor, "run", operation.id, operation.kind)
        return answered({"id": operation.id})

    async def act_on_many(self, request: Request, visitor: Viewer) -> Response:
        """Act on the next portion of what matches."""
        try:
            wish = bulk.BulkRequest.model_validate_json(await request.body())
        except ValidationError as error:
            detail = f"The request cannot be read: {error.errors(include_url=False, include_input=False)[0]['msg']}."
            raise MalformedRequest(detail) from error
        require_operator(request, visitor, f"{wish.action} many operations")
        return answered(await bulk.act(self._gateway.parts(), visitor, wish))

    async def _act(
        self,
        request: Request,
        visitor: Viewer,
        action: str,
        handler: Callable[[Request, None], Awaitable[Response]],
    ) -> Response:
        operation_id = request.path_params["operation_id"]
        require_operator(request, visitor, f"{action} {operation_id}")
        operation = await self._gateway.parts().service.get(operation_id, owner=None)
        answer = await handler(request, None)
        record(visitor, action, operation.id, operation.kind)
        return answer
