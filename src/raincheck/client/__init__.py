"""For programs on the other side of the wire: a client of applications, and the verifier of their webhooks.

The client needs the extra ``raincheck[client]``, the verifier nothing. Each name is imported when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raincheck.client._async.client import AsyncClient
    from raincheck.client._async.handle import AsyncOperationHandle
    from raincheck.client._sync.client import Client
    from raincheck.client._sync.handle import OperationHandle
    from raincheck.client.errors import (
        Busy,
        ClientError,
        Conflict,
        ForeignLink,
        Gone,
        InvalidRequest,
        NotAuthorised,
        NotFound,
        RemoteCancelled,
        RemoteFailed,
        RequestRefused,
        ServerUnreachable,
        StreamUnavailable,
        UnexpectedAnswer,
        WaitTimedOut,
        WrongResult,
    )
    from raincheck.client.models import Event, OperationState, ProblemDetails, ProgressState
    from raincheck.client.verify import WebhookEvent, WebhookRefused, verify_webhook

_HOMES = {
    "AsyncClient": "raincheck.client._async.client",
    "AsyncOperationHandle": "raincheck.client._async.handle",
    "Busy": "raincheck.client.errors",
    "Client": "raincheck.client._sync.client",
    "ClientError": "raincheck.client.errors",
    "Conflict": "raincheck.client.errors",
    "Event": "raincheck.client.models",
    "ForeignLink": "raincheck.client.errors",
    "Gone": "raincheck.client.errors",
    "InvalidRequest": "raincheck.client.errors",
    "NotAuthorised": "raincheck.client.errors",
    "NotFound": "raincheck.client.errors",
    "OperationHandle": "raincheck.client._sync.handle",
    "OperationState": "raincheck.client.models",
    "ProblemDetails": "raincheck.client.models",
    "ProgressState": "raincheck.client.models",
    "RemoteCancelled": "raincheck.client.errors",
    "RemoteFailed": "raincheck.client.errors",
    "RequestRefused": "raincheck.client.errors",
    "ServerUnreachable": "raincheck.client.errors",
    "StreamUnavailable": "raincheck.client.errors",
    "UnexpectedAnswer": "raincheck.client.errors",
    "WaitTimedOut": "raincheck.client.errors",
    "WebhookEvent": "raincheck.client.verify",
    "WebhookRefused": "raincheck.client.verify",
    "WrongResult": "raincheck.client.errors",
    "verify_webhook": "raincheck.client.verify",
}

__all__ = [
    "AsyncClient",
    "AsyncOperationHandle",
    "Busy",
    "Client",
    "ClientError",
    "Conflict",
    "Event",
    "ForeignLink",
    "Gone",
    "InvalidRequest",
    "NotAuthorised",
    "NotFound",
    "OperationHandle",
    "OperationState",
    "ProblemDetails",
    "ProgressState",
    "RemoteCancelled",
    "RemoteFailed",
    "RequestRefused",
    "ServerUnreachable",
    "StreamUnavailable",
    "UnexpectedAnswer",
    "WaitTimedOut",
    "WebhookEvent",
    "WebhookRefused",
    "WrongResult",
    "verify_webhook",
]


def __getattr__(name: str) -> Any:
    """Import a public name."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        found = getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name not in {"httpx2", "stamina", "anyio"}:
            raise
        msg = (
            f"raincheck.client.{name} needs {error.name}, which is not installed. Run: pip install 'raincheck[client]'"
        )
        raise ModuleNotFoundError(msg, name=error.name) from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
