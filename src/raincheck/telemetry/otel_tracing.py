"""Spans by OpenTelemetry's API; where they go is the application's choice.

Names and attributes follow the semantic conventions for messaging and for HTTP clients as far as these fit; what is
ours begins with ``raincheck.``. docs/operating.md lists both.
"""

from __future__ import annotations

import contextlib
import threading
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from raincheck.core.errors import RequestProblem
from raincheck.core.trace_context import TraceContext

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext, Tracer
    from opentelemetry.util.types import AttributeValue

    from raincheck.core.deliveries import Attempt, Delivery
    from raincheck.core.operation import Operation, Problem

_W3C = TraceContextTextMapPropagator()
_PORTS = {"https": 443, "http": 80}


class OtelTracing:
    """Implements ``Tracing`` with one tracer."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @classmethod
    def of_application(cls) -> OtelTracing:
        """Return the tracing of the application's provider."""
        return cls(trace.get_tracer("raincheck", version("raincheck")))

    @contextlib.contextmanager
    def submitting(
        self, kind: str, *, given: TraceContext | None, rerun_of: Operation | None
    ) -> Iterator[OtelSubmitSpan]:
        """Surround the commit of a submit. A retry is a trace of its own, with a link to what it repeats."""
        current = trace.get_current_span().get_span_context().is_valid
        attributes = _messaging("send", "submit") | {"raincheck.kind": kind}
        with self._tracer.start_as_current_span(
            f"submit {kind}",
            context=None if current or given is None else _context_of(given),
            kind=SpanKind.PRODUCER,
            attributes=attributes,
            links=_links_to(rerun_of),
        ) as span:
            try:
                yield OtelSubmitSpan(span)
            except RequestProblem as problem:
                span.set_attribute("error.type", problem.code)
                raise

    @contextlib.contextmanager
    def running(self, operation: Operation, *, executor: str) -> Iterator[OtelRunSpan]:
        """Surround a run: a child of the submit, whatever surrounds the worker."""
        attributes = _messaging("process", "run") | _about(operation) | {"raincheck.executor": executor}
        with self._tracer.start_as_current_span(
            f"run {operation.kind}",
            context=_context_of(operation.trace),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
        ) as span:
            yield OtelRunSpan(span)

    @contextlib.contextmanager
    def attempting(self, delivery: Delivery, operation: Operation) -> Iterator[OtelAttemptSpan]:
        """Surround one attempt of a webhook: a child of the submit too."""
        with self._tracer.start_as_current_span(
            f"webhook {delivery.event}",
            context=_context_of(operation.trace),
            kind=SpanKind.CLIENT,
            attributes=_sending(delivery) | {"raincheck.kind": operation.kind},
        ) as span:
            yield OtelAttemptSpan(span)


class _OtelSpan:
    def __init__(self, span: Span) -> None:
        self._span = span
        self.context = _stored(span.get_span_context())


class OtelSubmitSpan(_OtelSpan):
    """The span of a submit."""

    def submitted(self, operation: Operation, *, replayed: bool) -> None:
        """Say which operation it is, and whether an idempotency key has found it."""
        self._span.set_attributes(_about(operation) | {"raincheck.replayed": replayed})


class OtelRunSpan(_OtelSpan):
    """The span of a run."""

    def ended(self, outcome: str, *, problem: Problem | None, exception: tuple[str, str] | None) -> None:
        """Set the outcome, and the error where there is one."""
        self._span.set_attribute("raincheck.outcome", outcome)
        if exception is not None:
            name, trace_text = exception
            self._span.add_event("exception", {"exception.type": name, "exception.stacktrace": trace_text})
        if problem is not None:
            self._span.set_attribute("error.type", problem.code)
            self._span.set_status(Status(StatusCode.ERROR, problem.detail or problem.title))


class OtelAttemptSpan(_OtelSpan):
    """The span of an attempt."""

    def ended(self, attempt: Attempt) -> None:
        """Set the receiver's status, or why there is none."""
        if attempt.status is not None:
            self._span.set_attribute("http.response.status_code", attempt.status)
        if not attempt.succeeded:
            self._span.set_attribute("error.type", str(attempt.status or attempt.failure))
            self._span.set_status(Status(StatusCode.ERROR, attempt.detail or None))


# --- attributes -------------------------------------------------------------------------------------------------


def _messaging(kind: str, name: str) -> dict[str, AttributeValue]:
    return {"messaging.system": "raincheck", "messaging.operation.type": kind, "messaging.operation.name": name}


def _about(operation: Operation) -> dict[str, AttributeValue]:
    return {
        "messaging.destination.name": operation.queue,
        "messaging.message.id": operation.id,
        "raincheck.operation.id": operation.id,
        "raincheck.kind": operation.kind,
        "raincheck.run": operation.run,
        "raincheck.attempt": operation.attempt,
    }


def _sending(delivery: Delivery) -> dict[str, AttributeValue]:
    """Return what is known before an attempt; without path and query, in which receivers' secrets may be."""
    parts = urlsplit(delivery.url)
    return {
        "http.request.method": "POST",
        "http.request.resend_count": delivery.tries,
        "url.scheme": parts.scheme,
        "server.address": parts.hostname or "",
        "server.port": parts.port or _PORTS.get(parts.scheme, 0),
        "raincheck.delivery.id": delivery.id,
        "raincheck.delivery.event": delivery.event,
        "raincheck.operation.id": delivery.operation,
    }


# --- contexts ---------------------------------------------------------------------------------------------------


def _context_of(stored: TraceContext | None) -> Context:
    """Return a stored context, or an empty one: what happens to surround this code is not the parent."""
    if stored is None:
        return contexts.Context()
    carrier = {"traceparent": stored.traceparent, "tracestate": stored.tracestate}
    return _W3C.extract(carrier, context=contexts.Context())


def _stored(found: SpanContext) -> TraceContext | None:
    if not found.is_valid:
        return None
    parent = f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"
    return TraceContext(parent, found.trace_state.to_header())


def _links_to(operation: Operation | None) -> list[Link]:
    if operation is None or operation.trace is None:
        return []
    return [Link(trace.get_current_span(_context_of(operation.trace)).get_span_context())]


@contextlib.contextmanager
def attached(stored: TraceContext) -> Iterator[None]:
    """Make a stored context the current one."""
    token = contexts.attach(_context_of(stored))
    try:
        yield
    finally:
        contexts.detach(token)


def flush(patience: float) -> None:
    """Send what this process has recorded; a collector that is away holds it up for so many seconds at most.

    The SDK has no limit of its own here (its ``force_flush`` ignores the one it takes), hence a thread.
    """
    provider: Any = trace.get_tracer_provider()
    if hasattr(provider, "force_flush"):
        sending = threading.Thread(target=provider.force_flush, name="raincheck-flush", daemon=True)
        sending.start()
        sending.join(patience)
