"""The rules of deliveries: what makes one, when it is tried, when it is given up. Pure functions.

The schedule and the ends follow Standard Webhooks (standardwebhooks.com) and what its authors operate by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from raincheck.core.deliveries import Attempt, Delivery, DeliveryStatus, Health, Tried
from raincheck.core.endpoints import Source, WebhookType
from raincheck.core.errors import LeaseLost
from raincheck.core.moments import milliseconds
from raincheck.core.names import delivery_id
from raincheck.core.operation import Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from raincheck.core.endpoints import Endpoint
    from raincheck.core.operation import Operation
    from raincheck.core.transitions import Change

DELAYS = tuple(
    timedelta(seconds=seconds)
    for seconds in (0, 5, 300, 1800, 7200, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
)
"""The time before each attempt, from the event or from the failure before it."""
JITTER = 0.2
PROGRESS_DELAY = timedelta(seconds=1)
DISABLED_AFTER = timedelta(days=5)
_FAILURES_BELONG_TOGETHER = timedelta(days=2)
_LOG_KEPT = 20
_EXCERPT_KEPT = 1000
_GONE = 410
_ASKS_FOR_TIME = frozenset({429, 503})
_ENDS = {
    Status.SUCCEEDED: WebhookType.SUCCEEDED,
    Status.FAILED: WebhookType.FAILED,
    Status.CANCELLED: WebhookType.CANCELLED,
}


# --- an event makes deliveries --------------------------------------------------------------------------------


def with_deliveries(change: Change, endpoints: Sequence[Endpoint]) -> Change:
    """Return the change with what it makes known to the application's endpoints and to the operation's own callback."""
    callback = change.operation.callback
    if callback is None and not endpoints:
        return change
    event = event_of(change)
    if event is None:
        return change
    wanted = [(Source.WEBHOOK, each.url) for each in endpoints if event in each.events]
    if callback is not None and event in callback.events:
        wanted.append((Source.CALLBACK, callback.url))
    if not wanted:
        return change
    made = tuple(_made(change.operation, event, source, url) for source, url in wanted)
    return change._replace(deliveries=made)


def event_of(change: Change) -> WebhookType | None:
    """Return what a change tells to webhooks; None for most changes."""
    operation = change.operation
    if operation.version == change.follows:
        return None
    if operation.status in _ENDS:
        return _ENDS[operation.status]
    if operation.progress_version > change.follows:
        return WebhookType.PROGRESS
    # The first claim only, also together with the acceptance, and not what is written later in that run.
    if operation.status is Status.RUNNING and operation.run == 1 and change.follows <= 1:
        return WebhookType.STARTED
    return None


def _made(operation: Operation, event: WebhookType, source: Source, url: str) -> Delivery:
    at = operation.updated_at
    about = (operation.id, operation.version, event.value, source.value, url)
    return Delivery(
        id=delivery_id(milliseconds=milliseconds(at), about=about),
        operation=operation.id,
        source=source,
        url=url,
        event=event,
        version=operation.version,
        created_at=at,
        due_at=at + (PROGRESS_DELAY if event is WebhookType.PROGRESS else timedelta(0)),
    )


# --- a courier takes it, and tells what it found ----------------------------------------------------------------


def lease(delivery: Delivery, *, worker: str, lease_until: datetime, now: datetime) -> Delivery | None:
    """Give the delivery to a courier as its next run; None unless it is pending and due."""
    if delivery.status is not DeliveryStatus.PENDING or delivery.due_at > now:
        return None
    return replace(
        delivery, status=DeliveryStatus.SENDING, run=delivery.run + 1, worker=worker, lease_until=lease_until
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows for the delivery and for its endpoint."""

    delivery: Delivery
    health: Health


def settle(
    delivery: Delivery,
    health: Health,
    *,
    run: int,
    attempt: Attempt,
    began: datetime,
    now: datetime,
    chance: float,
) -> Verdict:
    """Record an attempt: delivered, tried again later, or given up.

    2xx delivers, 410 gives up, anything else is a failure; a redirect too, since following one could lead anywhere.

    :param chance: a random number in [0, 1) for the jitter.
    :raises LeaseLost: the run does not hold the delivery.
    """
    _refuse_other_run(delivery, run)
    kept = replace(attempt, excerpt=attempt.excerpt[:_EXCERPT_KEPT], detail=attempt.detail[:_EXCERPT_KEPT])
    log = (*delivery.log, Tried(at=began, attempt=kept))[-_LOG_KEPT:]
    if attempt.succeeded:
        ended = _ended(delivery, DeliveryStatus.DELIVERED, now)
        return Verdict(replace(ended, log=log), Health(url=health.url))
    tries = delivery.tries + 1
    worse = after_failure(health, now=now, gone=attempt.status == _GONE and delivery.source is Source.WEBHOOK)
    if attempt.status == _GONE or delivery.event == WebhookType.PROGRESS or tries >= len(DELAYS):
        after = _ended(delivery, DeliveryStatus.FAILED, now)
    else:
        after = _waiting(delivery, worse, due_at=now + wait_after(tries, attempt, chance=chance))
    return Verdict(replace(after, tries=tries, log=log), worse)


def wait_after(tries: int, attempt: Attempt, *, chance: float) -> timedelta:
    """Return the time until the next attempt: that of the schedule, or what the receiver asks for up to its double."""
    delay = DELAYS[tries] * (1 + JITTER * (2 * chance - 1))
    if attempt.status in _ASKS_FOR_TIME and attempt.retry_after is not None:
        return min(max(delay, attempt.retry_after), 2 * delay)
    return delay


def release(delivery: Delivery, health: Health, *, run: int) -> Verdict:
    """Hand the delivery back: its courier drains or is dead. No attempt is counted; one may have been made.

    :raises LeaseLost: the run does not hold the delivery.
    """
    _refuse_other_run(delivery, run)
    return Verdict(_waiting(delivery, health, due_at=delivery.due_at), health)


def expire(delivery: Delivery, health: Health, *, run: int, now: datetime) -> Verdict | None:
    """Take the delivery from a courier that let its lease run out; None while the lease holds."""
    if delivery.lease_until is None or delivery.lease_until > now:
        return None
    return release(delivery, health, run=run)


def redeliver(delivery: Delivery, *, now: datetime) -> Delivery:
    """Make a delivery due now, with the whole schedule before it if it had ended; one that is being sent stays so.

    A disabled endpoint is tried too: a success enables it.
    """
    match delivery.status:
        case DeliveryStatus.SENDING:
            return delivery
        case DeliveryStatus.PENDING:
            return replace(delivery, due_at=min(delivery.due_at, now))
        case _:
            return replace(delivery, status=DeliveryStatus.PENDING, due_at=now, tries=0, finished_at=None)


# --- the endpoint -------------------------------------------------------------------------------------------------


def after_failure(health: Health, *, now: datetime, gone: bool = False) -> Health:
    """Note a failure; five days of nothing else, or the word that it is gone (410), disable the endpoint.

    Failures two days apart do not belong together: nobody knows how it was between them.
    """
    last = health.last_failed_at
    follows = last is not None and now - last <= _FAILURES_BELONG_TOGETHER
    since = health.failing_since if follows and health.failing_since is not None else now
    noted = replace(health, failing_since=since, last_failed_at=now)
    if health.disabled:
        return noted
    if gone:
        return replace(noted, disabled_at=now, reason="it answered 410 Gone")
    if now - since >= DISABLED_AFTER:
        return replace(noted, disabled_at=now, reason=f"it has failed for {DISABLED_AFTER.days} days")
    return noted


# --- shared steps ---------------------------------------------------------------------------------------------------


def _refuse_other_run(delivery: Delivery, run: int) -> None:
    if delivery.run != run or delivery.status is not DeliveryStatus.SENDING:
        msg = f"run {run} of delivery {delivery.id} no longer holds it: it is {delivery.status} in run {delivery.run}."
        raise LeaseLost(msg)


def _ended(delivery: Delivery, status: DeliveryStatus, now: datetime) -> Delivery:
    return replace(delivery, status=status, worker=None, lease_until=None, finished_at=now)


def _waiting(delivery: Delivery, health: Health, *, due_at: datetime) -> Delivery:
    status = DeliveryStatus.PAUSED if health.disabled else DeliveryStatus.PENDING
    return replace(delivery, status=status, due_at=due_at, worker=None, lease_until=None)
