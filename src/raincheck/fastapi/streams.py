"""Event streams as plain ASGI responses: small when idle, bounded when slow, ended by a drain."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Protocol, Self

from starlette.responses import Response

from raincheck.core import wire
from raincheck.fastapi.frames import PING, events_with_data, frame, retry_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from datetime import timedelta

    from starlette.types import Receive, Scope, Send

    from raincheck.core.operation import Operation
    from raincheck.core.wire import Links
    from raincheck.roles.feed import Feed, Portion

PING_EVERY = 15.0
LONGEST_STREAM = 15 * 60.0
_RETRY = 2000
_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class Cursor(Protocol):
    """Writes the ``id:`` of a frame."""

    def __call__(self, operation_id: str, version: int, /) -> str | None:
        """Return the id of an event; None for a frame without one."""
        ...


class Source(Protocol):
    """What a stream reads: one operation, many, or all of an owner."""

    @property
    def feed(self) -> Feed:
        """What the stream waits on."""
        ...

    @property
    def over(self) -> bool:
        """Whether nothing more can come."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def replay(self) -> AsyncIterator[tuple[Portion, int]]:
        """Give what is stored already."""
        ...

    def advance(self, deadline: float) -> AsyncIterator[tuple[Portion, int]]:
        """Give what is new until a moment of the loop's clock."""
        ...


class EventStream(Response):
    """The logs of some operations, from the follower's positions on, until all are done.

    :param snapshots: records shown first, to a reader that gave no cursor.
    :param cursor: writes the id of each frame.
    :param headers: beside those that every stream has.

    ``closed`` is awaited when the stream has ended, however it ended.
    """

    def __init__(
        self,
        follow: Callable[[Callable[[], object]], Source],
        *,
        links: Links,
        cursor: Cursor,
        snapshots: Sequence[Operation] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
        poll_after: Callable[[Operation], timedelta] | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.body = b""
        self.raw_headers = [*_HEADERS, *headers]
        self._follow = follow
        self._links = links
        self._cursor = cursor
        self._snapshots = snapshots
        self._poll_after = poll_after
        self.closed: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Send the stream; a reader that goes away or does not keep up ends it, and resumes from its cursor."""
        task = asyncio.current_task()
        assert task is not None
        cut_off = False

        def cut() -> None:
            nonlocal cut_off
            cut_off = True
            task.cancel()

        follower = self._follow(cut)
        watching = asyncio.get_running_loop().create_task(_gone(receive, follower))
        try:
            with follower:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await self._send_all(follower, watching, send)
                if not watching.done():
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not cut_off or task.uncancel() > 0:
                raise
        finally:
            watching.cancel()
            if self.closed is not None:
                await asyncio.shield(asyncio.ensure_future(self.closed()))

    async def _send_all(self, follower: Source, watching: asyncio.Task[None], send: Send) -> None:
        first = retry_line(random.randint(_RETRY * 3 // 4, _RETRY * 5 // 4))  # noqa: S311 - spreads reconnects
        loop = asyncio.get_running_loop()
        end = loop.time() + LONGEST_STREAM

        async def write(frames: bytes) -> None:
            nonlocal first
            if not frames:
                return
            await send({"type": "http.response.body", "body": first + frames, "more_body": True})
            first = b""

        await self._send_snapshots(write)
        async for portion, after in follower.replay():
            await write(self._frames(portion, after))
        while not (follower.over or watching.done() or loop.time() >= end):
            ping_at = loop.time() + PING_EVERY
            silent = True
            async for portion, after in follower.advance(min(ping_at, end)):
                await write(self._frames(portion, after))
                silent = False
            if silent and loop.time() >= ping_at:
                await send({"type": "http.response.body", "body": PING, "more_body": True})

    async def _send_snapshots(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        for operation in self._snapshots:
            # The id comes with the last one: a reader that has only some of them begins anew.
            await write(self._snapshot(operation, last=operation is self._snapshots[-1]))
        self._snapshots = ()  # an idle reader keeps no record

    def _snapshot(self, operation: Operation, *, last: bool) -> bytes:
        advice = None if self._poll_after is None else self._poll_after(operation)
        data = wire.snapshot_data(operation, self._links, poll_after=advice)
        cursor = self._cursor(operation.id, operation.version) if last and not operation.done else None
        return frame("snapshot", data, cursor)

    def _frames(self, portion: Portion, after: int) -> bytes:
        identity = portion.operation.id
        return b"".join(
            [
                frame(event.type.value, data, self._cursor(identity, event.version))
                for event, data in events_with_data(portion, self._links, after=after)
            ],
        )


async def _gone(receive: Receive, follower: Source) -> None:
    """End when the client has gone, and wake the stream to see it."""
    while (await receive())["type"] != "http.disconnect":
        pass
    follower.feed.wake()
