"""Making event streams of operations, for the stream routes and for submits that ask for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from raincheck.fastapi.cursors import attach_cursor, header_cursor, refuse_future
from raincheck.fastapi.streams import EventStream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from raincheck.core.operation import Operation
    from raincheck.fastapi.serving import Gateway, Serving
    from raincheck.fastapi.streams import Cursor


class Streams:
    """Makes event streams."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def attached(self, request: Request, owner: str) -> Response | None:
        """Answer a submit that a reader repeats to go on reading; None for one that is to be submitted."""
        text = header_cursor(request)
        if text is None:
            return None
        parts = self._gateway.parts()
        operation_id, cursor = attach_cursor(text)
        operation = await parts.service.get(operation_id, owner=owner)
        return self.of_one(request, parts, operation, cursor=cursor, identity=_id_and_version)

    def submitted(self, request: Request, operation: Operation, headers: Sequence[tuple[bytes, bytes]]) -> Response:
        """Answer a submit with the stream of its operation."""
        parts = self._gateway.parts()
        return self.of_one(request, parts, operation, cursor=None, identity=_id_and_version, headers=headers)

    def of_one(
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
            positions = {operation.id: before_done(operation)}
            return self.of_many(request, parts, positions, cursor=identity, snapshots=[operation], headers=headers)
        refuse_future(cursor, operation.version)
        if operation.done and cursor >= operation.version:
            return Response(status_code=204)
        return self.of_many(request, parts, {operation.id: cursor}, cursor=identity, headers=headers)

    def of_many(
        self,
        request: Request,
        parts: Serving,
        positions: Mapping[str, int],
        *,
        cursor: Cursor,
        snapshots: Sequence[Operation] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> EventStream:
        """Return the stream of operations from positions, after snapshots of some."""
        return EventStream(
            parts.follow(positions),
            links=self._gateway.links(request),
            cursor=cursor,
            snapshots=snapshots,
            headers=headers,
            poll_after=parts.service.poll_after,
        )


def before_done(operation: Operation) -> int:
    """Return where a reader begins after a snapshot: a finished operation still shows its ``done``."""
    return operation.version - 1 if operation.done else operation.version


def version_only(_: str, version: int) -> str:
    """Write the cursor of one operation."""
    return str(version)


def _id_and_version(operation_id: str, version: int) -> str:
    return f"{operation_id}:{version}"
