"""The routes of event streams: one operation, many over one connection, all that the caller owns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from raincheck.core.errors import ListDisabled
from raincheck.fastapi.cursors import (
    ManyCursor,
    attach_cursor,
    given_cursor,
    refuse_future,
    version_cursor,
    wanted_ids,
)
from raincheck.fastapi.streams import EventStream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request

    from raincheck.core.operation import Operation
    from raincheck.fastapi.serving import Gateway, Serving
    from raincheck.fastapi.streams import Cursor
    from raincheck.roles.follower import Follower


class StreamRoutes:
    """Handlers of the stream routes, and of submits that ask for a stream."""

    def __init__(self, gateway: Gateway, *, listed: bool) -> None:
        self._gateway = gateway
        self._listed = listed

    async def get_operation_events(self, request: Request, owner: str) -> Response:
        """Stream the operation's events: all after the cursor, or a snapshot and what follows."""
        parts = self._gateway.parts()
        operation = await parts.service.get(request.path_params["operation_id"], owner=owner)
        text = given_cursor(request)
        cursor = None if text is None else version_cursor(text)
        return self.stream(request, parts, operation, cursor=cursor, identity=_version_only)

    async def get_operations_events(self, request: Request, owner: str) -> Response:
        """Stream many operations over one connection; without `ids` the status of all that the caller owns."""
        parts = self._gateway.parts()
        ids = wanted_ids(request)
        if ids is None:
            return self._all_of(request, parts, owner)
        operations = [await parts.service.get(each, owner=owner) for each in ids]
        many = ManyCursor(ids)
        text = given_cursor(request)
        if text is None:
            positions = {each.id: _before_done(each) for each in operations}
            many.start(positions)
            return self._streamed(request, parts, positions, cursor=many, snapshots=operations)
        positions = many.read(text)
        for operation in operations:
            refuse_future(positions[operation.id], operation.version)
        if all(each.done and positions[each.id] >= each.version for each in operations):
            return Response(status_code=204)
        many.start(positions)
        return self._streamed(request, parts, positions, cursor=many)

    async def attached(self, request: Request, owner: str) -> Response | None:
        """Answer a submit that a reader repeats to go on reading; None for one that is to be submitted."""
        text = given_cursor(request) if "last-event-id" in request.headers else None
        if text is None:
            return None
        parts = self._gateway.parts()
        operation_id, cursor = attach_cursor(text)
        operation = await parts.service.get(operation_id, owner=owner)
        return self.stream(request, parts, operation, cursor=cursor, identity=_id_and_version)

    def submitted(self, request: Request, operation: Operation, headers: Sequence[tuple[bytes, bytes]]) -> Response:
        """Answer a submit with the stream of its operation."""
        parts = self._gateway.parts()
        return self.stream(request, parts, operation, cursor=None, identity=_id_and_version, headers=headers)

    def stream(
        self,
        request: Request,
        parts: Serving,
        operation: Operation,
        *,
        cursor: int | None,
        identity: Cursor,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> Response:
        """Return the stream of one operation from a cursor, or 204 when nothing can follow it."""
        if cursor is None:
            positions = {operation.id: _before_done(operation)}
            return self._streamed(request, parts, positions, cursor=identity, snapshots=[operation], headers=headers)
        refuse_future(cursor, operation.version)
        if operation.done and cursor >= operation.version:
            return Response(status_code=204)
        return self._streamed(request, parts, {operation.id: cursor}, cursor=identity, headers=headers)

    def _streamed(
        self,
        request: Request,
        parts: Serving,
        positions: Mapping[str, int],
        *,
        cursor: Cursor,
        snapshots: Sequence[Operation] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> EventStream:
        def follow(cut: Callable[[], object]) -> Follower:
            return parts.follow(positions, cut)

        return EventStream(
            follow,
            links=self._gateway.links(request),
            cursor=cursor,
            snapshots=snapshots,
            headers=headers,
            poll_after=parts.service.poll_after,
        )

    def _all_of(self, request: Request, parts: Serving, owner: str) -> Response:
        if not self._listed:
            detail = "This application has no owner rule, so nobody may follow everything. Name operations with ?ids=."
            raise ListDisabled(detail)
        return EventStream(
            lambda cut: parts.follow_owner(owner, cut),
            links=self._gateway.links(request),
            cursor=_none,
        )


def _before_done(operation: Operation) -> int:
    """Return where a reader begins after a snapshot: a finished operation still shows its ``done``."""
    return operation.version - 1 if operation.done else operation.version


def _version_only(_: str, version: int) -> str:
    return str(version)


def _id_and_version(operation_id: str, version: int) -> str:
    return f"{operation_id}:{version}"


def _none(_: str, __: int) -> None:
    return None
