"""Hanging up on a client that does not read: ASGI has no word for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Receive


def hang_up(receive: Receive) -> bool:
    """Drop the connection with what was not sent yet; False where it is out of reach.

    A server that closes a connection sends the rest first, for which a client that does not read lets it wait for
    ever, also at SIGTERM. uvicorn's ``receive`` belongs to an object that has the connection's transport; a middleware
    that wraps ``receive`` (``BaseHTTPMiddleware``) and other servers hide it.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    abort = getattr(transport, "abort", None)
    if abort is None:
        return False
    abort()
    return True
