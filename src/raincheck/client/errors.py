"""What the client raises. All are ``ClientError``, and so ``raincheck.RaincheckError``.

Two branches: the server refused a request (``RequestRefused``, one class for each thing that a caller does about it),
and the operation itself ended without a result (``RemoteFailed``, ``RemoteCancelled``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raincheck.core.errors import RaincheckError

if TYPE_CHECKING:
    from raincheck.client.models import OperationState
    from raincheck.client.problems import ProblemDetails


class ClientError(RaincheckError):
    """Root of what the client raises."""

    code = "client-error"


class RequestRefused(ClientError):
    """The server answered with an error.

    :param problem: what it says; ``code`` is the problem's, or ``http-<status>`` where the answer carries none of ours.
    :param retry_after: seconds to wait before another try is worth it, where the server tells.
    """

    def __init__(self, problem: ProblemDetails, *, status: int, retry_after: float | None = None) -> None:
        super().__init__(f"{problem} (HTTP {status})")
        self.code = problem.code or f"http-{status}"  # type: ignore[misc]
        self.problem = problem
        self.status = status
        self.retry_after = retry_after


class InvalidRequest(RequestRefused):
    """The request is wrong: 400, 413, 415, 422. Sending it again does not help."""


class NotAuthorised(RequestRefused):
    """The server does not know the caller, or does not allow it: 401, 403."""


class NotFound(RequestRefused):
    """There is no such operation or route for this caller: 404."""


class Gone(RequestRefused):
    """The operation was deleted or has expired: 410."""


class Conflict(RequestRefused):
    """The operation's status does not allow this: 409."""


class Busy(RequestRefused):
    """The server or what stands before it cannot serve now: 429, 502, 503, 504, 507."""


class ServerUnreachable(ClientError):
    """No answer came, for as long as the client has patience. Whether the server saw the request is not known."""

    code = "server-unreachable"


class UnexpectedAnswer(ClientError):
    """The answer is none of a Raincheck application."""

    code = "unexpected-answer"


class ForeignLink(UnexpectedAnswer):
    """The server named an address on another origin; following it would hand the caller's credentials over."""

    code = "foreign-link"


class StreamUnavailable(ClientError):
    """The event log cannot be read: something before the server refuses or holds back event streams."""

    code = "stream-unavailable"


class WaitTimedOut(ClientError, TimeoutError):
    """The operation was not done in the time that this caller gave. It goes on; ask again, or cancel it."""

    code = "wait-timed-out"


class RemoteFailed(ClientError):
    """The operation failed; ``problem`` says why, and ``code`` is the problem's."""

    def __init__(self, operation: OperationState, problem: ProblemDetails) -> None:
        super().__init__(f"Operation {operation.id} ({operation.kind}) failed. {problem}")
        self.code = problem.code or "operation-failed"  # type: ignore[misc]
        self.operation = operation
        self.problem = problem


class RemoteCancelled(ClientError):
    """The operation was cancelled, so it has no result."""

    code = "operation-cancelled"

    def __init__(self, operation: OperationState) -> None:
        super().__init__(f"Operation {operation.id} ({operation.kind}) was cancelled. Submit it again, or retry it.")
        self.operation = operation


class WrongResult(ClientError):
    """The result is not of the type that the caller asked for; the cause says where."""

    code = "wrong-result"


def refused(problem: ProblemDetails, *, status: int, retry_after: float | None) -> RequestRefused:
    """Return the error of an answer."""
    kind = _KINDS.get(status, RequestRefused)
    return kind(problem, status=status, retry_after=retry_after)


_KINDS: dict[int, type[RequestRefused]] = {
    400: InvalidRequest,
    401: NotAuthorised,
    403: NotAuthorised,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    429: Busy,
    502: Busy,
    503: Busy,
    504: Busy,
    507: Busy,
}
