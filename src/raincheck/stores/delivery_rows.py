"""Webhook deliveries and the health of their URLs as rows of a database, and back."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from raincheck.core.deliveries import Attempt, Delivery, DeliveryStatus, Health, Tried
from raincheck.core.endpoints import Source
from raincheck.core.moments import milliseconds, moment_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

DELIVERY_COLUMNS = (
    "id, operation, source, url, event, version, created_at, due_at, status, run, tries, log, worker, lease_until, "
    "finished_at"
)
HEALTH_COLUMNS = "url, failing_since, last_failed_at, disabled_at, reason"


def about(delivery: Delivery) -> tuple[str, str, str]:
    """Return what a delivery's progress is superseded by: the operation, who asked, and where."""
    return delivery.operation, delivery.source.value, delivery.url


def insert_values(delivery: Delivery, *, paused: bool) -> tuple[Any, ...]:
    """Return what ``insert_deliveries.sql`` takes for a new delivery."""
    return (
        delivery.id,
        *about(delivery),
        delivery.receiver,
        str(delivery.event),
        delivery.version,
        milliseconds(delivery.created_at),
        milliseconds(delivery.due_at),
        DeliveryStatus.PAUSED.value if paused else delivery.status.value,
    )


def update_values(delivery: Delivery) -> tuple[Any, ...]:
    """Return what the update of a delivery takes."""
    return (
        milliseconds(delivery.due_at),
        delivery.status.value,
        delivery.run,
        delivery.tries,
        _log_text(delivery.log),
        delivery.worker,
        milliseconds_of(delivery.lease_until),
        milliseconds_of(delivery.finished_at),
        delivery.id,
    )


def delivery_from(row: Sequence[Any]) -> Delivery:
    """Return the delivery of a row selected with DELIVERY_COLUMNS."""
    return Delivery(
        id=row[0],
        operation=row[1],
        source=Source(row[2]),
        url=row[3],
        event=row[4],
        version=row[5],
        created_at=moment_at(row[6]),
        due_at=moment_at(row[7]),
        status=DeliveryStatus(row[8]),
        run=row[9],
        tries=row[10],
        log=tuple(_log_from(row[11])),
        worker=row[12],
        lease_until=_moment(row[13]),
        finished_at=_moment(row[14]),
    )


def _log_text(log: Iterable[Tried]) -> str:
    return json.dumps(
        [
            [
                milliseconds(tried.at),
                tried.attempt.latency // timedelta(microseconds=1),
                tried.attempt.status,
                tried.attempt.failure,
                tried.attempt.detail,
                None if tried.attempt.retry_after is None else tried.attempt.retry_after.total_seconds(),
                tried.attempt.excerpt,
            ]
            for tried in log
        ],
    )


def _log_from(text: str) -> Iterable[Tried]:
    for at, latency, status, failure, detail, retry_after, excerpt in json.loads(text):
        attempt = Attempt(
            latency=timedelta(microseconds=latency),
            status=status,
            failure=failure,
            detail=detail,
            retry_after=None if retry_after is None else timedelta(seconds=retry_after),
            excerpt=excerpt,
        )
        yield Tried(at=moment_at(at), attempt=attempt)


def health_from(row: Sequence[Any]) -> Health:
    """Return the health of a row selected with HEALTH_COLUMNS."""
    return Health(
        url=row[0],
        failing_since=_moment(row[1]),
        last_failed_at=_moment(row[2]),
        disabled_at=_moment(row[3]),
        reason=row[4],
    )


def _moment(value: int | None) -> datetime | None:
    return None if value is None else moment_at(value)


def milliseconds_of(moment: datetime | None) -> int | None:
    """Return what a column of moments holds."""
    return None if moment is None else milliseconds(moment)
