"""The deliveries' side of the memory store."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from raincheck.core import delivery_rules
from raincheck.core.deliveries import Delivery, DeliveryStatus, Health
from raincheck.core.delivery_rules import Verdict
from raincheck.core.endpoints import TERMINAL_EVENTS, Source, WebhookType
from raincheck.ports import Lease, Overdue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from raincheck.core.endpoints import Endpoint
    from raincheck.core.transitions import Change
    from raincheck.ports_deliveries import DeliveryClaim, DeliveryQuery

_FORGOTTEN_AFTER = timedelta(days=30)
_WAITING = frozenset({DeliveryStatus.PENDING, DeliveryStatus.PAUSED})


class MemoryDeliveries:
    """Implements DeliveryStore behind the lock of the store that it is part of."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._endpoints: tuple[Endpoint, ...] = ()
        self._deliveries: dict[str, Delivery] = {}
        self._health: dict[str, Health] = {}

    async def set_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """Write deliveries for these endpoints from now on."""
        self._endpoints = tuple(endpoints)

    async def adopt_endpoints(self) -> None:
        """Go on with the endpoints that were set; no other process has this memory."""

    async def lease_deliveries(self, claim: DeliveryClaim) -> list[Delivery]:
        """Lease due deliveries, the longest due first, as far as each receiver has room."""
        leased: list[Delivery] = []
        taken_of: Counter[str] = Counter()
        with self._lock:
            for delivery in sorted(self._deliveries.values(), key=lambda each: (each.due_at, each.id)):
                if len(leased) == claim.limit:
                    break
                known = claim.callbacks if delivery.source is Source.CALLBACK else delivery.url in claim.webhooks
                if not known or taken_of[delivery.receiver] >= claim.rooms.get(delivery.receiver, claim.room):
                    continue
                taken = delivery_rules.lease(
                    delivery, worker=claim.worker, lease_until=claim.lease_until, now=claim.now
                )
                if taken is not None:
                    taken_of[delivery.receiver] += 1
                    self._deliveries[taken.id] = taken
                    leased.append(taken)
        return leased

    async def change_delivery(
        self,
        delivery_id: str,
        transition: Callable[[Delivery, Health], Verdict | None],
    ) -> Verdict:
        """Apply a transition to a delivery and its URL's health as they are now."""
        with self._lock:
            delivery = self._deliveries[delivery_id]
            health = self._health_of(delivery.url)
            verdict = transition(delivery, health)
            if verdict is None:
                return Verdict(delivery, health)
            self._deliveries[delivery_id] = verdict.delivery
            self._set_health(health, verdict.health)
        return verdict

    async def change_endpoint(self, url: str, transition: Callable[[Health], Health]) -> Health:
        """Apply a transition to the health of a URL as it is now."""
        with self._lock:
            before = self._health_of(url)
            after = transition(before)
            self._set_health(before, after)
        return after

    async def overdue_deliveries(self, now: datetime, *, limit: int = 500) -> Overdue:
        """Return leases that ran out, and what each courier holds."""
        expired: list[Lease] = []
        holders: dict[str, tuple[Lease, ...]] = {}
        with self._lock:
            for each in self._deliveries.values():
                if each.worker is None or each.lease_until is None:
                    continue
                held = Lease(each.id, each.run)
                holders[each.worker] = (*holders.get(each.worker, ()), held)
                if each.lease_until <= now:
                    expired.append(held)
        return Overdue(tuple(expired[:limit]), (), holders)

    async def get_delivery(self, delivery_id: str) -> Delivery | None:
        """Return a delivery."""
        with self._lock:
            return self._deliveries.get(delivery_id)

    async def deliveries_of(self, operation_id: str) -> list[Delivery]:
        """Return an operation's deliveries, oldest first."""
        with self._lock:
            found = [each for each in self._deliveries.values() if each.operation == operation_id]
        return sorted(found, key=lambda each: each.id)

    async def list_deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        """Return a page of the log, newest first."""
        with self._lock:
            found = sorted(filter(_matching(query), self._deliveries.values()), key=lambda each: each.id, reverse=True)
        return found[: query.limit]

    async def unhealthy_endpoints(self) -> list[Health]:
        """Return the health of every URL that failed last."""
        with self._lock:
            return [self._health[url] for url in sorted(self._health)]

    # --- with the lock held ---------------------------------------------------------------------------------

    def _with_deliveries(self, change: Change) -> Change:
        told = delivery_rules.with_deliveries(change, self._endpoints)
        for delivery in told.deliveries:
            self._insert(delivery)
        return told

    def _insert(self, delivery: Delivery) -> None:
        if delivery.event in (WebhookType.PROGRESS, *TERMINAL_EVENTS):
            is_end = delivery.event != WebhookType.PROGRESS
            for former in list(self._progress_like(delivery)):
                if former.status in _WAITING:
                    delivery = replace(delivery, due_at=delivery.due_at if is_end else former.due_at)
                elif is_end or former.status is DeliveryStatus.SENDING:
                    continue
                del self._deliveries[former.id]
        status = DeliveryStatus.PAUSED if self._health_of(delivery.url).disabled else DeliveryStatus.PENDING
        self._deliveries.setdefault(delivery.id, replace(delivery, status=status))

    def _progress_like(self, delivery: Delivery) -> Iterator[Delivery]:
        about = (delivery.operation, delivery.source, delivery.url, WebhookType.PROGRESS)
        return (
            each for each in self._deliveries.values() if (each.operation, each.source, each.url, each.event) == about
        )

    def _health_of(self, url: str) -> Health:
        return self._health.get(url) or Health(url=url)

    def _set_health(self, before: Health, after: Health) -> None:
        self._health[after.url] = after
        if after == Health(url=after.url):
            del self._health[after.url]
        if before.disabled == after.disabled:
            return
        waiting, then = (
            (DeliveryStatus.PENDING, DeliveryStatus.PAUSED)
            if after.disabled
            else (DeliveryStatus.PAUSED, DeliveryStatus.PENDING)
        )
        for each in list(self._deliveries.values()):
            if each.url == after.url and each.status is waiting:
                due_at = each.due_at if after.disabled else min(each.due_at, each.created_at)
                self._deliveries[each.id] = replace(each, status=then, due_at=due_at)

    def _bury_deliveries(self, operation_id: str) -> None:
        if self._deliveries:
            self._deliveries = {key: each for key, each in self._deliveries.items() if each.operation != operation_id}

    def _forget_endpoints(self, now: datetime) -> None:
        waited_for = {each.url for each in self._deliveries.values() if each.status is DeliveryStatus.PAUSED}
        for url, health in list(self._health.items()):
            old = health.last_failed_at is not None and health.last_failed_at < now - _FORGOTTEN_AFTER
            if old and url not in waited_for:
                del self._health[url]


def _matching(query: DeliveryQuery) -> Callable[[Delivery], bool]:
    return lambda each: (
        (query.before_id is None or each.id < query.before_id)
        and (query.url is None or each.url == query.url)
        and (not query.statuses or each.status in query.statuses)
    )
