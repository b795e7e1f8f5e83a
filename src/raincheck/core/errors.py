"""The error tree: one root, branches by who must act.

Every error carries a stable ``code``; its message says what happened, why, and the next step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


class RaincheckError(Exception):
    """Root of every error that Raincheck raises."""

    code: ClassVar[str] = "raincheck-error"


# --- the caller must act: these become problem responses (RFC 9457) -------------------------------------


class RequestProblem(RaincheckError):
    """A request that cannot be served; the HTTP layer renders it as a problem document.

    ``status`` is the HTTP status, ``title`` the short text that never varies, the message is the detail.
    """

    code: ClassVar[str] = "bad-request"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request is not valid"

    def __init__(
        self,
        detail: str,
        *,
        operation_id: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.operation_id = operation_id
        self.retry_after = retry_after


class MalformedRequest(RequestProblem):
    """A header or query parameter that cannot be read."""

    code = "malformed-request"
    title = "A header or parameter is malformed"


class CallbacksDisabled(RequestProblem):
    """A ``Callback-Url`` where the application accepts none."""

    code = "callbacks-disabled"
    title = "This application accepts no callback URLs"


class CallbackUrlRefused(RequestProblem):
    """A ``Callback-Url`` that is malformed or that the application does not allow."""

    code = "callback-url-refused"
    title = "This callback URL is not allowed"


class TicketRefused(RequestProblem):
    """A ticket that does not let its bearer in."""

    code = "ticket-refused"
    status = 401
    title = "The ticket was refused"


class OperationNotFound(RequestProblem):
    """Unknown, malformed, and another owner's ids: one and the same answer."""

    code = "operation-not-found"
    status = 404
    title = "There is no such operation"


class DeliveryNotFound(RequestProblem):
    """Unknown and malformed ids of deliveries, and those of another operation."""

    code = "delivery-not-found"
    status = 404
    title = "There is no such delivery"


class EndpointNotFound(RequestProblem):
    """A URL that is no endpoint of webhooks, or not one that the wish fits."""

    code = "endpoint-not-found"
    status = 404
    title = "There is no such endpoint"


class ListDisabled(RequestProblem):
    """Listing where no owner rule says what a caller may see."""

    code = "list-disabled"
    status = 404
    title = "Operations cannot be listed here"


class OperationDeleted(RequestProblem):
    """The owner deleted the operation."""

    code = "operation-deleted"
    status = 410
    title = "The operation was deleted"


class OperationExpired(RequestProblem):
    """The operation's retention has passed."""

    code = "operation-expired"
    status = 410
    title = "The operation has expired"


class ResultNotReady(RequestProblem):
    """The operation is not finished."""

    code = "result-not-ready"
    status = 409
    title = "The result is not ready"


class OperationWasCancelled(RequestProblem):
    """The operation was cancelled, so it has no result."""

    code = "operation-cancelled"
    status = 409
    title = "The operation was cancelled"


class OperationFinished(RequestProblem):
    """Cancelling what has already succeeded or failed."""

    code = "operation-finished"
    status = 409
    title = "The operation is already finished"


class OperationNotFinished(RequestProblem):
    """Deleting or retrying what is still under way."""

    code = "operation-not-finished"
    status = 409
    title = "The operation is not finished"


class OperationSucceeded(RequestProblem):
    """Retrying what has succeeded."""

    code = "operation-succeeded"
    status = 409
    title = "The operation has succeeded"


class BodyTooLarge(RequestProblem):
    """A request body over the limit."""

    code = "body-too-large"
    status = 413
    title = "The request body is too large"


class IdempotencyKeyReused(RequestProblem):
    """The same key with a different request."""

    code = "idempotency-key-reused"
    status = 422
    title = "The idempotency key was used with a different request"


class QueueFull(RequestProblem):
    """The bounded queue has no room."""

    code = "queue-full"
    status = 429
    title = "Too many operations are waiting"


class Draining(RequestProblem):
    """This process is shutting down and accepts nothing new."""

    code = "draining"
    status = 503
    title = "The server is shutting down"


class NotReady(RequestProblem):
    """The process answers, but cannot serve now: what its readiness probe says."""

    code = "not-ready"
    status = 503
    title = "This process is not ready"


class StoreUnavailable(RequestProblem):
    """The database cannot be reached or is busy for too long."""

    code = "store-unavailable"
    status = 503
    title = "The operation store is not available"


class StorageFull(RequestProblem):
    """The disk is full; nothing was accepted."""

    code = "storage-full"
    status = 507
    title = "The server has no storage left"


# --- the worker must act: these end a run ------------------------------------------------------------


class LeaseLost(RaincheckError):
    """A write that names a run which no longer holds the operation. The worker stops the work."""

    code = "lease-lost"


class InputMismatch(RaincheckError):
    """The stored request no longer fits the function's signature."""

    code = "input-mismatch"


class OutputOverflow(RaincheckError):
    """An async function emitted faster than the store writes; ``await op.drain()`` avoids it."""

    code = "output-overflow"


# --- the author of the application must act -----------------------------------------------------------


class DefinitionError(RaincheckError):
    """A decorated function that cannot be an operation. The message names the function and the remedy."""

    code = "definition-error"


class NotStarted(RaincheckError):
    """The application's lifespan did not run, so nothing was opened."""

    code = "not-started"


# --- the operator must act ----------------------------------------------------------------------------


class OperatorError(RaincheckError):
    """Something outside the program is wrong."""

    code = "operator-error"


class ConfigurationError(OperatorError):
    """A setting that cannot be used."""

    code = "configuration-error"


class StoreError(OperatorError):
    """The store cannot be opened or used as it is (network file system, read-only, not a database)."""

    code = "store-error"


class SchemaTooNew(StoreError):
    """The database was written by a newer release."""

    code = "schema-too-new"


class EngineError(OperatorError):
    """An engine cannot be used; the message says why and what to do."""

    code = "engine-error"


class ExecutorError(OperatorError):
    """An executor cannot start or run work."""

    code = "executor-error"


# --- raised by the user's function ---------------------------------------------------------------------


class OperationFailed(RaincheckError):
    """Raise inside an operation to fail on purpose; clients get exactly these fields (RFC 9457).

    :param code: stable identifier; becomes ``urn:raincheck:problem:<code>``.
    :param title: short text that does not vary between occurrences.
    :param status: HTTP status of ``GET …/result``; 400 to 599.
    :param detail: text about this occurrence.
    """

    def __init__(
        self,
        *,
        code: str,
        title: str = "The operation failed",
        status: int = 500,
        detail: str | None = None,
        extensions: Mapping[str, object] | None = None,
    ) -> None:
        if not 400 <= status <= 599:  # noqa: PLR2004 - the error range of RFC 9110 §15
            msg = f"OperationFailed(status={status}) is not an error status; use 400 to 599"
            raise ValueError(msg)
        super().__init__(detail or title)
        self.code = code  # type: ignore[misc]
        self.title = title
        self.status = status
        self.detail = detail
        self.extensions = dict(extensions or {})


class RetryLater(RaincheckError):
    """Raise inside an operation to run again later without counting an attempt.

    :param after: how long to wait; seconds, a text such as ``"5m"``, or a timedelta.
    """

    code = "retry-later"

    def __init__(self, after: timedelta | float | str = 0.0) -> None:
        super().__init__(f"run again after {after}")
        self.after = after


class OperationCancelled(BaseException):
    """Raised at a cancellation point once a cancel was requested.

    Not an ``Exception``, as ``asyncio.CancelledError`` is not one: ``except Exception`` must not swallow it.
    """
