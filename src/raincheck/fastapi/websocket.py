"""The WebSocket: many operations over one connection, by the same events, cursors and rules as the other channels."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from raincheck.core import wire
from raincheck.core.errors import RequestProblem
from raincheck.fastapi.cursors import refuse_future
from raincheck.fastapi.frames import events_with_data
from raincheck.fastapi.hanging_up import hang_up
from raincheck.fastapi.socket_messages import Cancel, Close, Closing, Init, Ping, Subscribe, Unsubscribe, read_message
from raincheck.fastapi.streams import LONGEST_STREAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Receive, Scope, Send

    from raincheck.core.operation import Operation
    from raincheck.core.wire import Links
    from raincheck.fastapi.authorisation import Authorisation
    from raincheck.fastapi.serving import Gateway, Serving
    from raincheck.roles.feed import Portion

SUBPROTOCOL = "raincheck.v1"
_INIT_WITHIN = 3.0
_MOST_SUBSCRIPTIONS = 100
_CLOSE_WITHIN = 0.8


class SocketEndpoint:
    """The endpoint of ``/operations/ws``."""

    def __init__(self, gateway: Gateway, *, authorisation: Authorisation, allowed_origins: Sequence[str]) -> None:
        self._gateway = gateway
        self._authorisation = authorisation
        self._allowed_origins = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection to its end."""
        websocket = WebSocket(scope, receive, send)
        try:
            connection = await self._accepted(websocket)
            await connection.serve()
        except Closing as closing:
            await _close(websocket, closing, receive)
        except WebSocketDisconnect:
            return

    async def _accepted(self, websocket: WebSocket) -> _Connection:
        if SUBPROTOCOL not in websocket.scope.get("subprotocols", ()):
            await websocket.accept()
            raise Closing(Close.SUBPROTOCOL, f"the subprotocol is {SUBPROTOCOL}")
        await websocket.accept(SUBPROTOCOL)
        _refuse_other_origin(websocket, self._allowed_origins)
        owner = await _introduced(websocket, self._authorisation)
        return _Connection(websocket, self._gateway.parts(), owner=owner, links=self._gateway.links(websocket))


async def _introduced(websocket: WebSocket, authorisation: Authorisation) -> str:
    """Wait for the first message and return the owner that it proves."""
    try:
        async with asyncio.timeout(_INIT_WITHIN):
            message = read_message(await _received(websocket))
    except TimeoutError:
        raise Closing(Close.NOT_AUTHORISED, "no connection_init came within three seconds") from None
    if not isinstance(message, Init):
        raise Closing(Close.NOT_AUTHORISED, "the first message must be connection_init")
    owner = await authorisation.owner_of(websocket, message.authorization)
    if owner is None:
        raise Closing(Close.NOT_AUTHORISED, "the authorization was refused")
    await websocket.send_text('{"type": "connection_ack"}')
    return owner


class _Connection:
    """One introduced client: reads its messages, and runs a task for each subscription."""

    __slots__ = ("_closing", "_links", "_owner", "_parts", "_serving", "_subscriptions", "_websocket")

    def __init__(self, websocket: WebSocket, parts: Serving, *, owner: str, links: Links) -> None:
        self._websocket = websocket
        self._parts = parts
        self._owner = owner
        self._links = links
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._closing: Closing | None = None
        self._serving: asyncio.Task[Any] | None = None

    async def serve(self) -> None:
        """Serve until the client goes, breaks the protocol, is too slow, or the server restarts.

        :raises Closing: how to close the connection.
        """
        self._serving = task = asyncio.current_task()
        assert task is not None
        timer = asyncio.get_running_loop().call_later(LONGEST_STREAM, self._restart)
        stopping = self._parts.when_draining(self._restart)
        try:
            await self._read()
        except asyncio.CancelledError:
            if self._closing is None or task.uncancel() > 0:
                raise
            raise self._closing from None
        finally:
            self._serving = None
            stopping()
            timer.cancel()
            subscriptions = list(self._subscriptions.values())
            for each in subscriptions:
                each.cancel()
            await asyncio.gather(*subscriptions, return_exceptions=True)

    def _restart(self) -> None:
        self._close_with(Close.RESTART, "connect again and go on from your cursors")

    def _close_with(self, code: Close, reason: str) -> None:
        """End the reading, wherever it waits, as ``asyncio.timeout`` ends its block."""
        if self._closing is None and self._serving is not None:
            self._closing = Closing(code, reason)
            self._serving.cancel()

    async def _read(self) -> None:
        while True:
            match read_message(await _received(self._websocket)):
                case Subscribe() as message:
                    self._subscribe(message)
                case Unsubscribe(id=identity):
                    task = self._subscriptions.pop(identity, None)
                    if task is not None:
                        task.cancel()
                case Cancel() as message:
                    await self._cancel(message)
                case Ping():
                    await self._websocket.send_text('{"type": "pong"}')
                case Init():
                    raise Closing(Close.BAD_MESSAGE, "connection_init comes once")

    def _subscribe(self, message: Subscribe) -> None:
        if message.id in self._subscriptions:
            raise Closing(Close.DUPLICATE_ID, "the subscription id is in use")
        if len(self._subscriptions) >= _MOST_SUBSCRIPTIONS:
            raise Closing(Close.TOO_MANY, f"at most {_MOST_SUBSCRIPTIONS} subscriptions")
        task = asyncio.get_running_loop().create_task(self._follow(message))
        self._subscriptions[message.id] = task

        def ended(task: asyncio.Task[None]) -> None:
            if self._subscriptions.get(message.id) is task:
                del self._subscriptions[message.id]
            if not task.cancelled() and isinstance(error := task.exception(), Exception):
                self._failed(error)

        task.add_done_callback(ended)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, Closing):
            self._close_with(error.code, error.reason)
        elif not isinstance(error, (WebSocketDisconnect, RuntimeError)):
            asyncio.get_running_loop().call_exception_handler({"message": "a subscription failed", "exception": error})
            self._close_with(Close.RESTART, "the server failed; connect again")

    async def _cancel(self, message: Cancel) -> None:
        try:
            await self._parts.service.cancel(message.operation, owner=self._owner)
        except RequestProblem as problem:
            await self._send_problem(message.id, problem)

    async def _follow(self, message: Subscribe) -> None:
        try:
            operation = await self._parts.service.get(message.operation, owner=self._owner)
            if message.after is not None:
                refuse_future(message.after, operation.version)
        except RequestProblem as problem:
            await self._send_problem(message.id, problem)
            return
        position = message.after
        if position is None:
            await self._send_snapshot(message.id, operation)
            position = operation.version - 1 if operation.done else operation.version

        def cut() -> None:
            self._close_with(Close.SLOW_READER, "too much waits; go on from your cursor")

        with self._parts.follow({operation.id: position}) as follower:
            follower.feed.when_cut_off(cut)

            async def show(portion: Portion, after: int) -> None:
                for text in _texts(portion, self._links, message.id, after=after):
                    await self._websocket.send_text(text)

            await follower.replay(show)
            while not follower.over:
                await follower.feed.wait()
                await follower.advance(show)
            if not follower.ended:
                return
        await self._websocket.send_text(f'{{"type": "complete", "id": {json.dumps(message.id)}}}')

    async def _send_snapshot(self, identity: str, operation: Operation) -> None:
        data = wire.snapshot_data(operation, self._links, poll_after=self._parts.service.poll_after(operation))
        text = _event_text(json.dumps(identity), operation.id, operation.version, "snapshot", data)
        await self._websocket.send_text(text)

    async def _send_problem(self, identity: str, problem: RequestProblem) -> None:
        fields: dict[str, Any] = {"type": "error", "id": identity, "problem": wire.request_problem_fields(problem)}
        await self._websocket.send_text(json.dumps(fields))


def _texts(portion: Portion, links: Links, identity: str, *, after: int) -> list[str]:
    """Return the messages of a portion's events above a version, made once for readers that want the same in turn."""
    key = links.base, identity, after
    if portion.texts[0] != key:
        named = json.dumps(identity)
        made = [
            _event_text(named, event.operation, event.version, event.type.value, data)
            for event, data in events_with_data(portion, links, after=after)
        ]
        portion.texts = key, made
    return portion.texts[1]


def _event_text(identity: str, operation_id: str, version: int, name: str, data: str) -> str:
    head = f'{{"type": "event", "id": {identity}, "operation": "{operation_id}", "version": {version}'
    return f'{head}, "event": "{name}", "data": {data}}}'


async def _received(websocket: WebSocket) -> str:
    """Return the next text message.

    :raises Closing: it is binary.
    :raises WebSocketDisconnect: the client has gone.
    """
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    text = message.get("text")
    if text is None:
        raise Closing(Close.BAD_MESSAGE, "messages are text")
    return str(text)


def _refuse_other_origin(websocket: WebSocket, allowed: Sequence[str]) -> None:
    """Let pages of this origin and of allowed ones connect, and programs, which send none.

    :raises Closing: the page is of another origin.
    """
    origin = websocket.headers.get("origin")
    if origin is None or origin in allowed or "*" in allowed:
        return
    try:
        parts = urlsplit(origin)
    except ValueError:
        raise Closing(Close.ORIGIN, "this origin is none") from None
    scheme = "https" if websocket.scope.get("scheme") == "wss" else "http"
    if parts.scheme not in {scheme, "https"} or parts.netloc != websocket.headers.get("host"):
        raise Closing(Close.ORIGIN, "this origin is not allowed")


async def _close(websocket: WebSocket, closing: Closing, receive: Receive) -> None:
    if websocket.application_state is not WebSocketState.CONNECTED:
        return
    try:
        async with asyncio.timeout(_CLOSE_WITHIN):
            await websocket.close(closing.code, closing.reason)
    except TimeoutError:
        hang_up(receive)
    except (RuntimeError, WebSocketDisconnect):
        return
