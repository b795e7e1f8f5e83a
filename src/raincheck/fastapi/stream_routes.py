"""The routes of event streams: one operation, many over one connection, all that the caller owns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from raincheck.core.errors import ListDisabled, RequestProblem
from raincheck.fastapi.cursors import ManyCursor, given_cursor, refuse_future, version_cursor, wanted_ids
from raincheck.fastapi.problems import problem_response
from raincheck.fastapi.stream_making import Streams, before_done, version_only
from raincheck.fastapi.streams import EventStream
from raincheck.fastapi.tickets import admitted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    from raincheck.fastapi.authorisation import Authorisation
    from raincheck.fastapi.serving import Gateway, Serving


class StreamEndpoint:
    """Answers with what a handler returns, outside FastAPI's machinery for requests.

    Its exit stacks, its request and the frames of its wrappers would stay with each reader of a stream, however idle.
    Guards and the owner rule are run by the handler, and are over before the stream begins.
    """

    def __init__(self, handler: Callable[[Request], Awaitable[Response]]) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        answer = await self._answer(Request(scope, receive))
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._handler(request)
        except RequestProblem as problem:
            return problem_response(problem)


class StreamRoutes:
    """Handlers of the stream routes.

    :param authorisation: None where the routes have guards of their own, and take no tickets.
    :param listed: whether an owner rule says what belongs to a caller.
    """

    def __init__(self, gateway: Gateway, *, authorisation: Authorisation | None, listed: bool) -> None:
        self._gateway = gateway
        self._streams = Streams(gateway)
        self._authorisation = authorisation
        self._listed = listed

    async def get_operation_events(self, request: Request) -> Response:
        """Stream the operation's events: all after the cursor, or a snapshot and what follows.

        The route has no guards of its own, since a ticket takes their place.
        """
        parts = self._gateway.parts()
        operation_id = request.path_params["operation_id"]
        text = given_cursor(request)
        cursor = None if text is None else version_cursor(text)
        ticket = request.query_params.get("ticket")
        if ticket is None or self._authorisation is None:
            return await self.of_one(request, parts, owner=await self._owner(request), cursor=cursor)
        admission = await admitted(parts, ticket, operation_id=operation_id, resuming=cursor is not None)
        try:
            answer = await self.of_one(request, parts, owner=admission.owner, cursor=cursor)
        except RequestProblem:
            await admission.end(parts)
            raise
        if isinstance(answer, EventStream):
            answer.closed = partial(admission.end, parts)
        else:
            await admission.end(parts)
        return answer

    async def of_one(self, request: Request, parts: Serving, *, owner: str | None, cursor: int | None) -> Response:
        """Stream one operation that the caller may see."""
        operation = await parts.service.get(request.path_params["operation_id"], owner=owner)
        return self._streams.of_one(request, parts, operation, cursor=cursor, identity=version_only)

    async def events_of_callers_operations(self, request: Request) -> Response:
        """Find out who calls, and stream many operations."""
        return await self.get_operations_events(request, await self._owner(request))

    async def _owner(self, request: Request) -> str | None:
        """Return who calls; None is the operator, whom the routes' own guards let in."""
        return None if self._authorisation is None else await self._authorisation.owner_of_request(request)

    async def get_operations_events(self, request: Request, owner: str | None) -> Response:
        """Stream many operations over one connection; without `ids` the status of all that the caller owns."""
        parts = self._gateway.parts()
        ids = wanted_ids(request)
        if ids is None:
            return self._all_of(request, parts, owner)
        operations = [await parts.service.get(each, owner=owner) for each in ids]
        many = ManyCursor(ids)
        text = given_cursor(request)
        if text is None:
            positions = {each.id: before_done(each) for each in operations}
            many.start(positions)
            return self._streams.of_many(request, parts, positions, cursor=many, snapshots=operations)
        positions = many.read(text)
        for operation in operations:
            refuse_future(positions[operation.id], operation.version)
        if all(each.done and positions[each.id] >= each.version for each in operations):
            return Response(status_code=204)
        many.start(positions)
        return self._streams.of_many(request, parts, positions, cursor=many)

    def _all_of(self, request: Request, parts: Serving, owner: str | None) -> Response:
        if not self._listed:
            detail = "This application has no owner rule, so nobody may follow everything. Name operations with ?ids=."
            raise ListDisabled(detail)
        return EventStream(
            parts.follow_owner(owner),
            links=self._gateway.links(request),
            cursor=_none,
        )


def _none(_: str, __: int) -> None:
    """Write no cursor: there is nothing to resume."""
