"""Running the guards and the owner rule without an HTTP request of their own, for WebSockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from starlette.websockets import WebSocket

_FOUND = "raincheck.owner"
_PATHS = ("/operations/events", "/operations/ws", "/operations/{operation_id}/events")
# What belongs to the connection's own request: its exit stacks, and the handlers that would answer a refusal.
_OF_THE_CONNECTION = frozenset({"starlette.exception_handlers", "subprotocols", "extensions"})
_HANDSHAKE = frozenset({b"upgrade", b"connection", b"authorization", b"content-length", b"content-type"})


class Authorisation:
    """Resolves the owner of a connection as a GET request of its path, with its headers, would.

    What middleware has left in the connection's scope (a session, a user) is there too.

    :param owner: annotation of the owner parameter, see ``access.owner_parameter``.
    :param guards: the dependencies of the application and those that guard all operation routes.
    :param prefix: where the operation routes are.
    :param application: whose ``dependency_overrides`` count.
    """

    def __init__(self, *, owner: Any, guards: Sequence[Any], prefix: str, application: object) -> None:
        async def endpoint(request: Request, raincheck_owner: str) -> Response:
            request.scope[_FOUND] = raincheck_owner
            return Response()

        endpoint.__annotations__ = {"request": Request, "raincheck_owner": owner, "return": Response}
        router = APIRouter(prefix=prefix, dependency_overrides_provider=application)
        for path in _PATHS:
            router.add_api_route(path, endpoint, dependencies=list(guards), response_model=None)
        self._run = AsyncExitStackMiddleware(router)

    async def owner_of(self, websocket: WebSocket, authorization: str | None) -> str | None:
        """Return the owner, or None where a guard or the owner rule refuses.

        :param authorization: what the client sent in ``connection_init``, in place of the header.
        """
        headers = [pair for pair in websocket.scope["headers"] if not _of_handshake(pair[0], authorization)]
        if authorization is not None:
            headers.append((b"authorization", authorization.encode("latin-1", "replace")))
        try:
            return await self._resolve(websocket, headers)
        except (HTTPException, RequestValidationError):
            return None

    async def owner_of_request(self, request: Request) -> str:
        """Return the owner of a request to a route that has no guards of its own.

        :raises HTTPException: a guard or the owner rule refuses; the application's own handlers render it.
        """
        return await self._resolve(request, request.scope["headers"])

    async def _resolve(self, connection: HTTPConnection, headers: list[tuple[bytes, bytes]]) -> str:
        scope = {name: value for name, value in connection.scope.items() if not _of_the_connection(name)}
        scope["type"] = "http"
        scope["method"] = "GET"
        scope["scheme"] = "https" if scope.get("scheme") in {"wss", "https"} else "http"
        scope["headers"] = headers
        await self._run(scope, _nothing, _ignore)
        found: str = scope[_FOUND]
        return found


def _of_the_connection(name: str) -> bool:
    return name in _OF_THE_CONNECTION or name.startswith("fastapi")


def _of_handshake(name: bytes, authorization: str | None) -> bool:
    if name == b"authorization":
        return authorization is not None
    return name in _HANDSHAKE or name.startswith(b"sec-websocket-")


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _ignore(message: MutableMapping[str, Any]) -> None:
    """Drop the response; whether there is an owner is what counts."""
