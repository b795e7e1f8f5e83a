"""Spans of submits, runs and webhooks: what the roles say, whether or not anyone traces.

The request, the runs and the webhooks of an operation happen at other times and often in other processes; what joins
them into one trace is the ``TraceContext`` that is stored with the operation.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raincheck.core.deliveries import Attempt, Delivery
    from raincheck.core.operation import Operation, Problem
    from raincheck.core.trace_context import TraceContext

_FLUSH_PATIENCE = 2.0


class SubmitSpan(Protocol):
    """A submit under way; ``context`` is what the operation keeps."""

    context: TraceContext | None

    def submitted(self, operation: Operation, *, replayed: bool) -> None:
        """Say which operation it is, new or found by its idempotency key."""
        ...


class RunSpan(Protocol):
    """A run under way; ``context`` is what a child process goes on from."""

    context: TraceContext | None

    def ended(self, outcome: str, *, problem: Problem | None, exception: tuple[str, str] | None) -> None:
        """Say how it ended; the exception is its type and its traceback."""
        ...


class AttemptSpan(Protocol):
    """One attempt of a webhook; ``context`` is what the receiver goes on from."""

    context: TraceContext | None

    def ended(self, attempt: Attempt) -> None:
        """Say what it found."""
        ...


class Tracing(Protocol):
    """Makes spans. Inside of each, the code that it surrounds finds it as the current span.

    ``submitting`` is a child of the caller's current span, else of the trace that the request's headers name.
    """

    def submitting(
        self, kind: str, *, given: TraceContext | None, rerun_of: Operation | None
    ) -> contextlib.AbstractContextManager[SubmitSpan]:
        """Surround the commit of a submit."""
        ...

    def running(self, operation: Operation, *, executor: str) -> contextlib.AbstractContextManager[RunSpan]:
        """Surround a run and the write of its outcome."""
        ...

    def attempting(self, delivery: Delivery, operation: Operation) -> contextlib.AbstractContextManager[AttemptSpan]:
        """Surround one attempt of a webhook."""
        ...


class NoTracing:
    """Makes no spans; what a request's headers say is kept and handed on all the same (W3C Trace Context §4.2)."""

    def submitting(
        self, kind: str, *, given: TraceContext | None, rerun_of: Operation | None
    ) -> contextlib.AbstractContextManager[SubmitSpan]:
        """Keep what the request brought."""
        del kind, rerun_of
        return _NOTHING if given is None else contextlib.nullcontext(_Passing(given))

    def running(self, operation: Operation, *, executor: str) -> contextlib.AbstractContextManager[RunSpan]:
        """Keep what the operation has, for a child process that traces."""
        del executor
        return _NOTHING if operation.trace is None else contextlib.nullcontext(_Passing(operation.trace))

    def attempting(self, delivery: Delivery, operation: Operation) -> contextlib.AbstractContextManager[AttemptSpan]:
        """Hand on what the operation has."""
        del delivery
        return _NOTHING if operation.trace is None else contextlib.nullcontext(_Passing(operation.trace))


class _Passing:
    """A span that nobody records."""

    def __init__(self, context: TraceContext | None) -> None:
        self.context = context

    def submitted(self, operation: Operation, *, replayed: bool) -> None:
        """Record nothing."""

    def ended(self, *_: object, **__: object) -> None:
        """Record nothing."""


_NOTHING: contextlib.nullcontext[_Passing] = contextlib.nullcontext(_Passing(None))


def find_tracing() -> Tracing:
    """Return what makes spans, if the application has set up OpenTelemetry; ask when it starts."""
    if not provided("trace"):
        return NoTracing()
    from raincheck.telemetry.otel_tracing import OtelTracing  # noqa: PLC0415 - an extra

    return OtelTracing.of_application()


def provided(signal: Literal["trace", "metrics"]) -> bool:
    """Tell whether somebody has set a provider of OpenTelemetry; without one, what is told it goes nowhere.

    Nothing is imported that is not there already, except where an environment variable names a provider. Those of the
    API itself are placeholders.
    """
    name = f"opentelemetry.{signal}"
    kind = {"trace": "tracer", "metrics": "meter"}[signal]
    if name not in sys.modules and f"OTEL_PYTHON_{kind.upper()}_PROVIDER" not in os.environ:
        return False
    try:
        api = importlib.import_module(name)
    except ImportError:
        return False
    provider = getattr(api, f"get_{kind}_provider")()
    return not type(provider).__module__.startswith(name)


@contextlib.contextmanager
def in_child(context: TraceContext | None) -> Iterator[None]:
    """Go on with a trace in the child process of a run, and send what it has recorded before the process ends."""
    if context is None or not provided("trace"):
        yield
        return
    from raincheck.telemetry import otel_tracing  # noqa: PLC0415 - an extra, and imported by the application

    with otel_tracing.attached(context):
        yield
    otel_tracing.flush(_FLUSH_PATIENCE)
