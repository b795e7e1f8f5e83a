"""Long-running requests in FastAPI: one decorator turns a slow endpoint into a durable operation."""

from raincheck.context import MemoryRecorder, OperationContext
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
from raincheck.fastapi.router import OperationRouter
from raincheck.fastapi.worker_depends import WorkerDepends
from raincheck.raincheck import Raincheck
from raincheck.settings import Settings

__all__ = [
    "EXPOSED_HEADERS",
    "Backoff",
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
    "WorkerDepends",
]
__version__ = "0.1.0"
