"""Long-running requests in FastAPI: one decorator turns a slow endpoint into a durable operation."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raincheck.context import MemoryRecorder, OperationContext
    from raincheck.core.endpoints import Callbacks, Webhook
    from raincheck.core.errors import (
        ConfigurationError,
        DefinitionError,
        InputMismatch,
        LeaseLost,
        NotStarted,
        OperationCancelled,
        OperationFailed,
        OperatorError,
        OutputOverflow,
        RaincheckError,
        RequestProblem,
        RetryLater,
        StorageFull,
        StoreError,
        StoreUnavailable,
    )
    from raincheck.core.retry import Backoff, Retry
    from raincheck.fastapi.models import Operation
    from raincheck.fastapi.openapi import EXPOSED_HEADERS
    from raincheck.fastapi.receiving import VerifiedWebhook
    from raincheck.fastapi.router import OperationRouter
    from raincheck.fastapi.worker_depends import WorkerDepends
    from raincheck.raincheck import Raincheck
    from raincheck.settings import Settings

__all__ = [
    "EXPOSED_HEADERS",
    "Backoff",
    "Callbacks",
    "ConfigurationError",
    "DefinitionError",
    "InputMismatch",
    "LeaseLost",
    "MemoryRecorder",
    "NotStarted",
    "Operation",
    "OperationCancelled",
    "OperationContext",
    "OperationFailed",
    "OperationRouter",
    "OperatorError",
    "OutputOverflow",
    "Raincheck",
    "RaincheckError",
    "RequestProblem",
    "Retry",
    "RetryLater",
    "Settings",
    "StorageFull",
    "StoreError",
    "StoreUnavailable",
    "VerifiedWebhook",
    "Webhook",
    "WorkerDepends",
]
__version__ = "0.1.0"

# FastAPI takes a second to import, so a name is imported when it is first asked for: the command line, the client and
# the core do without most of them. Type checkers read the imports above.
_HOMES = {
    "Backoff": "raincheck.core.retry",
    "Callbacks": "raincheck.core.endpoints",
    "ConfigurationError": "raincheck.core.errors",
    "DefinitionError": "raincheck.core.errors",
    "EXPOSED_HEADERS": "raincheck.fastapi.openapi",
    "InputMismatch": "raincheck.core.errors",
    "LeaseLost": "raincheck.core.errors",
    "MemoryRecorder": "raincheck.context",
    "NotStarted": "raincheck.core.errors",
    "Operation": "raincheck.fastapi.models",
    "OperationCancelled": "raincheck.core.errors",
    "OperationContext": "raincheck.context",
    "OperationFailed": "raincheck.core.errors",
    "OperationRouter": "raincheck.fastapi.router",
    "OperatorError": "raincheck.core.errors",
    "OutputOverflow": "raincheck.core.errors",
    "Raincheck": "raincheck.raincheck",
    "RaincheckError": "raincheck.core.errors",
    "RequestProblem": "raincheck.core.errors",
    "Retry": "raincheck.core.retry",
    "RetryLater": "raincheck.core.errors",
    "Settings": "raincheck.settings",
    "StorageFull": "raincheck.core.errors",
    "StoreError": "raincheck.core.errors",
    "StoreUnavailable": "raincheck.core.errors",
    "VerifiedWebhook": "raincheck.fastapi.receiving",
    "Webhook": "raincheck.core.endpoints",
    "WorkerDepends": "raincheck.fastapi.worker_depends",
}


def __getattr__(name: str) -> Any:
    """Import a public name."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return __all__
