"""Deliveries in every state, for the suites of the delivery store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from raincheck.core import delivery_rules, transitions
from raincheck.core.deliveries import Attempt, Delivery, DeliveryStatus, Health
from raincheck.core.delivery_rules import Verdict
from raincheck.core.endpoints import Callback, WebhookType
from raincheck.core.operation import Progress
from raincheck.ports_deliveries import DeliveryClaim, DeliveryStore
from raincheck.testing.conformance.specimens import (
    NOW,
    SECOND,
    WORKER,
    Store,
    started,
    succeed,
)

if TYPE_CHECKING:
    from datetime import datetime

    from raincheck.core.operation import Operation

URL = "https://hooks.example.com/one"
OTHER = "https://other.example.org/two"
ALL_EVENTS = tuple(WebhookType)
LEASED_UNTIL = NOW + 60 * SECOND


class DeliveringStore(Store, DeliveryStore, Protocol):
    """What the suite runs against: the store ports on one object, already opened."""


def a_delivery_claim(**fields: Any) -> DeliveryClaim:
    """Return a courier's claim of up to a hundred deliveries to any endpoint."""
    made: dict[str, Any] = {
        "worker": WORKER,
        "webhooks": (URL, OTHER),
        "callbacks": True,
        "limit": 100,
        "lease_until": LEASED_UNTIL,
        "now": NOW,
    }
    return DeliveryClaim(**(made | fields))


async def a_delivery(
    store: DeliveringStore,
    *,
    url: str = URL,
    status: DeliveryStatus = DeliveryStatus.PENDING,
    created: datetime = NOW,
) -> Delivery:
    """Return the delivery of an operation that ended at a moment, brought to a status by the rules."""
    running = await started(store, callback=Callback(url))
    await succeed(store, running.id, now=created)
    [delivery] = await store.deliveries_of(running.id)
    if status is DeliveryStatus.PAUSED:
        await store.change_endpoint(url, disabled)
    elif status is not DeliveryStatus.PENDING:
        now = delivery.due_at
        await store.change_delivery(
            delivery.id,
            lambda found, health: Verdict(
                delivery_rules.lease(found, worker=WORKER, lease_until=LEASED_UNTIL, now=now) or found, health
            ),
        )
    found = await store.get_delivery(delivery.id)
    assert found is not None
    if status is DeliveryStatus.DELIVERED:
        return (await settled(store, found, status=200)).delivery
    if status is DeliveryStatus.FAILED:
        return (await settled(store, found, status=410)).delivery
    return found


async def settled(
    store: DeliveringStore, delivery: Delivery, *, status: int = 200, attempt: Attempt | None = None
) -> Verdict:
    """Write what an attempt found."""
    found = attempt or Attempt(latency=SECOND, status=status)
    return await store.change_delivery(
        delivery.id,
        lambda record, health: delivery_rules.settle(
            record, health, run=delivery.run, attempt=found, began=NOW, now=NOW, chance=0.5
        ),
    )


async def progressed(store: DeliveringStore, operation_id: str, step: int, *, now: datetime = NOW) -> None:
    """Record progress in the first run."""
    progress = Progress(current=step)
    await store.change(operation_id, lambda found: transitions.record(found, run=1, progress=progress, now=now))


async def of_event(store: DeliveringStore, operation_id: str, event: WebhookType) -> list[Delivery]:
    """Return the operation's deliveries of an event."""
    return [each for each in await store.deliveries_of(operation_id) if each.event == event]


async def found_of(store: DeliveringStore, operation_id: str) -> Operation:
    """Return the record as the log shows it."""
    return (await store.events_after({operation_id: 0}))[operation_id][0]


def disabled(health: Health) -> Health:
    """Return the health of an endpoint that is disabled."""
    return Health(url=health.url, failing_since=NOW, last_failed_at=NOW, disabled_at=NOW, reason="a test")
