"""Event streams as plain ASGI responses: small when idle, bounded when slow, ended by a drain."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Protocol, Self

from starlette.responses import Response

from raincheck.core import wire
from raincheck.fastapi.cursors import ManyCursor
from raincheck.fastapi.frames import PING, frame, frames, retry_line
from raincheck.fastapi.hanging_up import hang_up
from raincheck.roles.follower import nothing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import timedelta

    from starlette.types import Message, Receive, Scope, Send

    from raincheck.core.operation import Operation
    from raincheck.core.wire import Links
    from raincheck.roles.feed import Feed, Portion
    from raincheck.roles.follower import Show

PING_EVERY = 15.0
LONGEST_STREAM = 15 * 60.0
_RETRY = 2000
_TELLER = "raincheck-stream"
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

    def wake_at(self, due: float) -> None:
        """Be woken at a moment of the loop's clock; set again, it may only be later."""
        ...

    async def replay(self, show: Show) -> None:
        """Show what is stored already."""
        ...

    async def advance(self, show: Show) -> None:
        """Show what has come."""
        ...


class EventStream(Response):
    """The logs of some operations, from the source's positions on, until all are done.

    :param source: what is told; entered when the answer begins.
    :param snapshots: records shown first, to a reader that gave no cursor.
    :param cursor: writes the id of each frame.
    :param headers: beside those that every stream has.

    ``closed`` is awaited when the stream has ended, however it ended. An idle reader keeps this object, its source, one
    frame of its request, and the task that tells it: what is made once more here is made ten thousand times.
    """

    def __init__(
        self,
        source: Source,
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
        self._source = source
        self._links = links
        self._cursor = cursor
        self._snapshots = snapshots
        self._poll_after = poll_after
        self._begun = False
        self._gone = False
        self._woken = False
        self._receive: Receive
        self._send: Send
        self._reading: asyncio.Task[object] | None = None
        self._telling: asyncio.Task[None]
        self.closed: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Send the stream; a reader that goes away or does not keep up ends it, and resumes from its cursor.

        This task waits for the client to go, and another one tells: an event has to wake it in any number of readers,
        and a task is woken through all that it waits in, here the frames of each middleware. The first and the last
        message are sent from here, since a middleware may tidy up at these what it began in this context.
        """
        self._receive, self._send = receive, send
        source = self._source
        source.feed.when_cut_off(self._cut)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            with source:
                self._telling = telling = asyncio.get_running_loop().create_task(self._tell(source), name=_TELLER)
                self._reading = task = asyncio.current_task()
                assert task is not None
                earlier = task.cancelling()
                try:
                    while not telling.done() and (await receive())["type"] != "http.disconnect":
                        pass
                except BaseException as error:
                    only_woken = self._woken and task.cancelling() == earlier + 1
                    if not (only_woken and isinstance(error, asyncio.CancelledError)):
                        telling.cancel()
                        raise
                finally:
                    self._reading = None
                    if self._woken:
                        task.uncancel()
                    self._gone = not telling.done()
                    source.feed.wake()
                    await asyncio.gather(telling, return_exceptions=True)
            await self._end(telling)
        finally:
            await self._tell_closed()
        if self.background is not None:
            await self.background()

    def _cut(self) -> None:
        if not hang_up(self._receive):
            self._telling.cancel()

    async def _tell(self, source: Source) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + LONGEST_STREAM
        feed = source.feed
        try:
            await self._begin(source)
            while not (source.over or self._gone) and (now := loop.time()) < end:
                ping_at = now + PING_EVERY
                source.wake_at(min(ping_at, end))
                await feed.wait()
                if not feed.idle:
                    await source.advance(self._show)
                elif loop.time() >= ping_at:
                    await self._send({"type": "http.response.body", "body": PING, "more_body": True})
        finally:
            self._wake()

    def _wake(self) -> None:
        """End the wait for the client, since not every server tells of an end after the last message.

        As ``asyncio.timeout`` ends its block, without its object, which would stay with each idle reader.
        """
        if self._reading is not None:
            self._woken = True
            self._reading.cancel()

    async def _end(self, telling: asyncio.Task[None]) -> None:
        """End the answer, unless it was cut off or nobody is there; raise what a send has raised."""
        if telling.cancelled():
            return
        telling.result()
        if not self._gone:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell_closed(self) -> None:
        if self.closed is not None:
            await asyncio.shield(asyncio.ensure_future(self.closed()))

    async def _begin(self, source: Source) -> None:
        for operation in self._snapshots:
            # The id comes with the last one: a reader that has only some of them begins anew.
            await self._send(self._message(self._snapshot(operation, last=operation is self._snapshots[-1])))
        self._snapshots, self._poll_after = (), None  # an idle reader keeps no record
        await source.replay(self._show)

    def _show(self, portion: Portion, after: int) -> Awaitable[None]:
        shared = not isinstance(self._cursor, ManyCursor)
        data = frames(portion, self._links, self._cursor, after=after, shared=shared)
        return self._send(self._message(data)) if data else nothing()

    def _message(self, data: bytes) -> Message:
        if not self._begun:
            self._begun = True
            # Spread, so that readers that lost one server together do not come back together.
            data = retry_line(random.randint(_RETRY * 3 // 4, _RETRY * 5 // 4)) + data  # noqa: S311
        return {"type": "http.response.body", "body": data, "more_body": True}

    def _snapshot(self, operation: Operation, *, last: bool) -> bytes:
        advice = None if self._poll_after is None else self._poll_after(operation)
        data = wire.snapshot_data(operation, self._links, poll_after=advice)
        cursor = self._cursor(operation.id, operation.version) if last and not operation.done else None
        return frame("snapshot", data, cursor)
