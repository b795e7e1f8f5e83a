"""Webhooks as operators see them: endpoints and their health, deliveries with the URL and what was answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raincheck.core.deliveries import DeliveryStatus
from raincheck.core.delivery_wire import delivery_fields
from raincheck.core.errors import MalformedRequest
from raincheck.core.moments import rfc3339
from raincheck.core.names import is_delivery_id
from raincheck.ports_deliveries import DeliveryQuery

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from raincheck.core.deliveries import Attempt, Delivery
    from raincheck.core.wire import Links
    from raincheck.roles.delivery_desk import EndpointState

PAGE = 50


def as_item(delivery: Delivery, links: Links) -> dict[str, Any]:
    """Return one delivery: what callers see, and what is kept from them since it tells of the operator's network."""
    fields = delivery_fields(delivery, links)
    for shown, tried in zip(fields["attempts"], delivery.log, strict=True):
        shown["failure"] = tried.attempt.failure
        shown["detail"] = tried.attempt.detail
        shown["excerpt"] = tried.attempt.excerpt
    return {**fields, "url": delivery.url, "operation": delivery.operation}


def as_endpoint(state: EndpointState, links: Links) -> dict[str, Any]:
    """Return an endpoint: how it answers, and whether anything is sent there. Never its secrets."""
    health = state.health
    return {
        "url": state.url,
        "configured": state.webhook is not None,
        "events": [] if state.webhook is None else [str(event) for event in state.webhook.events],
        "failing_since": _time(health.failing_since),
        "last_failed_at": _time(health.last_failed_at),
        "disabled_at": _time(health.disabled_at),
        "reason": health.reason,
        "newest": None if state.newest is None else as_item(state.newest, links),
    }


def as_attempt(attempt: Attempt) -> dict[str, Any]:
    """Return what a test message found."""
    return {
        "succeeded": attempt.succeeded,
        "status_code": attempt.status,
        "failure": attempt.failure,
        "latency_ms": round(attempt.latency.total_seconds() * 1000),
        "detail": attempt.detail,
        "excerpt": attempt.excerpt,
    }


def log_query(given: Mapping[str, str]) -> DeliveryQuery:
    """Read ``?status=&url=&before=``; one more than a page is asked for, to know whether more follow.

    :raises MalformedRequest: one cannot be read.
    """
    names = [name for name in given.get("status", "").split(",") if name]
    before = given.get("before")
    if before is not None and not is_delivery_id(before):
        detail = "before must be the id of a delivery."
        raise MalformedRequest(detail)
    try:
        statuses = tuple(DeliveryStatus(name) for name in names)
    except ValueError:
        detail = f"status must name some of {', '.join(DeliveryStatus)}."
        raise MalformedRequest(detail) from None
    return DeliveryQuery(statuses=statuses, url=given.get("url") or None, before_id=before, limit=PAGE + 1)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
