"""Deliveries as callers see them: never what a receiver answered, nor where the application's own webhooks go."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from raincheck.core.deliveries import DeliveryStatus
from raincheck.core.endpoints import Source
from raincheck.core.moments import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from raincheck.core.deliveries import Attempt, Delivery, Tried
    from raincheck.core.wire import Links

# Which of the three it was would tell a caller what names mean inside the operator's network.
_UNREACHABLE = frozenset({"unresolved", "refused-address", "unreachable"})


def delivery_page(deliveries: Iterable[Delivery], links: Links) -> bytes:
    """Return the deliveries of an operation as ASCII JSON."""
    return json.dumps({"items": [delivery_fields(each, links) for each in deliveries]}).encode()


def delivery_fields(delivery: Delivery, links: Links) -> dict[str, Any]:
    """Return one delivery as callers see it."""
    here = f"{links.base}/{delivery.operation}/deliveries/{delivery.id}"
    waits = delivery.status is DeliveryStatus.PENDING
    return {
        "id": delivery.id,
        "type": str(delivery.event),
        "version": delivery.version,
        "source": delivery.source.value,
        "url": delivery.url if delivery.source is Source.CALLBACK else None,
        "status": delivery.status.value,
        "created_at": rfc3339(delivery.created_at),
        "next_attempt_at": rfc3339(delivery.due_at) if waits else None,
        "finished_at": _time(delivery.finished_at),
        "attempts": [_attempt_fields(tried) for tried in delivery.log],
        "links": {"redeliver": f"{here}/redeliver"},
    }


def _attempt_fields(tried: Tried) -> dict[str, Any]:
    attempt = tried.attempt
    return {
        "time": rfc3339(tried.at),
        "status_code": attempt.status,
        "failure": _failure(attempt),
        "latency_ms": None if attempt.status is None else attempt.latency // timedelta(milliseconds=1),
    }


def _failure(attempt: Attempt) -> str | None:
    if attempt.status is not None:
        return None
    return "unreachable" if attempt.failure in _UNREACHABLE else attempt.failure


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
