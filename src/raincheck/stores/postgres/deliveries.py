"""Webhook deliveries in PostgreSQL: written with the change that makes them, leased, settled, listed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from raincheck.core import delivery_rules
from raincheck.core.deliveries import Health
from raincheck.core.endpoints import TERMINAL_EVENTS, Endpoint, WebhookType
from raincheck.core.moments import milliseconds, moment_at
from raincheck.ports import Lease, Overdue
from raincheck.stores.delivery_rows import (
    DELIVERY_COLUMNS,
    HEALTH_COLUMNS,
    about,
    delivery_from,
    health_from,
    insert_values,
    milliseconds_of,
    update_values,
)
from raincheck.stores.postgres.queries import statement
from raincheck.stores.postgres.rows import columns_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from raincheck.core.deliveries import Delivery
    from raincheck.core.delivery_rules import Verdict
    from raincheck.ports_deliveries import DeliveryClaim, DeliveryQuery

_FORGOTTEN_AFTER = timedelta(days=30)
_INSERTED, _UPDATED = 10, 9  # columns


class DeliveryWriter:
    """Writes what changes make known, in the transaction of the changes."""

    def __init__(self, schema: str) -> None:
        self._insert = statement("insert_deliveries", schema=schema)
        self._drop = statement("drop_waiting_progress", schema=schema)
        self._disabled = (
            f"SELECT url FROM {schema}.endpoints WHERE url = ANY ($1::text[]) AND disabled_at IS NOT NULL FOR SHARE"
        )
        self._replace = (
            f"DELETE FROM {schema}.deliveries WHERE operation = $1 AND source = $2 AND url = $3 "
            "AND event = 'operation.progress' AND status <> 'sending' RETURNING status, due_at"
        )

    async def insert(self, connection: Any, deliveries: Sequence[Delivery]) -> None:
        """Write deliveries, in a number of statements that does not depend on how many they are; progress aside."""
        if not deliveries:
            return
        ends = [about(each) for each in deliveries if each.event in TERMINAL_EVENTS]
        if ends:
            await connection.execute(self._drop, *columns_of(ends, count=3))
        kept: dict[str, Delivery] = {}
        progress: dict[tuple[str, str, str], Delivery] = {}  # of this batch
        for delivery in deliveries:
            superseded = progress.pop(about(delivery), None) if _supersedes(delivery) else None
            if superseded is not None:
                del kept[superseded.id]
            if delivery.event != WebhookType.PROGRESS:
                kept[delivery.id] = delivery
                continue
            due_at = superseded.due_at if superseded is not None else await self._in_place_of(connection, delivery)
            kept[delivery.id] = progress[about(delivery)] = replace(delivery, due_at=due_at)
        urls = list({each.url for each in kept.values()})
        disabled = {row[0] for row in await connection.fetch(self._disabled, urls)}
        rows = [insert_values(each, paused=each.url in disabled) for each in kept.values()]
        await connection.execute(self._insert, *columns_of(rows, count=_INSERTED))

    async def _in_place_of(self, connection: Any, delivery: Delivery) -> datetime:
        """Drop the operation's other progress for this URL, and return when the first of what waited is due."""
        dropped = await connection.fetch(self._replace, *about(delivery))
        waited = [due_at for status, due_at in dropped if status in {"pending", "paused"}]
        return moment_at(min(waited)) if waited else delivery.due_at


def _supersedes(delivery: Delivery) -> bool:
    return delivery.event == WebhookType.PROGRESS or delivery.event in TERMINAL_EVENTS


class DeliveryQueries:
    """What couriers and operators need; each method runs on the connection that it is given."""

    def __init__(self, schema: str) -> None:
        table = f"{schema}.deliveries"
        self._table = table
        self._endpoints = f"{schema}.endpoints"
        self._webhooks = f"{schema}.webhooks"
        self._select = f"SELECT {DELIVERY_COLUMNS} FROM {table}"
        self._due = statement("due_deliveries", schema=schema)
        self._update = statement("update_deliveries", schema=schema)
        # One who judges a URL's health at a time, also where it has no row yet.
        self._hold_url = f"SELECT pg_advisory_xact_lock(hashtextextended('{schema} ' || $1, 0))"

    # --- who hears of every operation -------------------------------------------------------------------------

    async def kept_endpoints(self, connection: Any) -> list[Endpoint]:
        """Return the endpoints of the application that was started last."""
        rows = await connection.fetch(f"SELECT url, events FROM {self._webhooks} ORDER BY url")
        return [Endpoint(row[0], tuple(json.loads(row[1]))) for row in rows]

    async def keep_endpoints(self, connection: Any, endpoints: Sequence[Endpoint]) -> None:
        """Keep the endpoints of the application; of those that start at once, the last one's stay."""
        await connection.execute(f"LOCK TABLE {self._webhooks} IN SHARE ROW EXCLUSIVE MODE")
        await connection.execute(f"DELETE FROM {self._webhooks}")
        rows = [(endpoint.url, json.dumps(endpoint.events)) for endpoint in endpoints]
        await connection.execute(
            f"INSERT INTO {self._webhooks} (url, events) SELECT * FROM unnest($1::text[], $2::text[])",
            *columns_of(rows, count=2),
        )

    # --- couriers ---------------------------------------------------------------------------------------------

    async def due(self, connection: Any, claim: DeliveryClaim) -> list[str]:
        """Return the ids of what a courier may lease, the longest due first."""
        rows = await connection.fetch(
            self._due,
            milliseconds(claim.now),
            claim.callbacks,
            list(claim.webhooks),
            claim.room,
            list(claim.rooms),
            list(claim.rooms.values()),
            claim.limit,
        )
        return [row[0] for row in rows]

    async def lease(self, connection: Any, ids: Sequence[str], claim: DeliveryClaim) -> list[Delivery]:
        """Lease those of the deliveries that are still due and that no other courier is leasing."""
        text = f"{self._select} WHERE id = ANY ($1::text[]) AND status = 'pending' ORDER BY id FOR UPDATE SKIP LOCKED"
        found = {row[0]: delivery_from(row) for row in await connection.fetch(text, ids)}
        taken = [
            delivery_rules.lease(found[each], worker=claim.worker, lease_until=claim.lease_until, now=claim.now)
            for each in ids
            if each in found
        ]
        leased = [each for each in taken if each is not None]
        await self._write(connection, leased)
        return leased

    async def change(
        self,
        connection: Any,
        delivery_id: str,
        transition: Callable[[Delivery, Health], Verdict | None],
    ) -> Verdict:
        """Apply a transition to a delivery and to the health of its URL."""
        url = await connection.fetchval(f"SELECT url FROM {self._table} WHERE id = $1", delivery_id)
        if url is None:
            raise KeyError(delivery_id)
        health = await self._held_health(connection, url)
        row = await connection.fetchrow(f"{self._select} WHERE id = $1 FOR UPDATE", delivery_id)
        if row is None:
            raise KeyError(delivery_id)
        delivery = delivery_from(row)
        verdict = transition(delivery, health)
        if verdict is None:
            return delivery_rules.Verdict(delivery, health)
        if verdict.delivery is not delivery:
            await self._write(connection, [verdict.delivery])
        await self._set_health(connection, health, verdict.health)
        return verdict

    async def change_endpoint(self, connection: Any, url: str, transition: Callable[[Health], Health]) -> Health:
        """Apply a transition to the health of a URL."""
        before = await self._held_health(connection, url)
        after = transition(before)
        await self._set_health(connection, before, after)
        return after

    async def _held_health(self, connection: Any, url: str) -> Health:
        await connection.execute(self._hold_url, url)
        row = await connection.fetchrow(
            f"SELECT {HEALTH_COLUMNS} FROM {self._endpoints} WHERE url = $1 FOR UPDATE", url
        )
        return Health(url=url) if row is None else health_from(row)

    async def _set_health(self, connection: Any, before: Health, after: Health) -> None:
        if after == before:
            return
        if after == Health(url=after.url):
            await connection.execute(f"DELETE FROM {self._endpoints} WHERE url = $1", after.url)
        else:
            await connection.execute(
                f"INSERT INTO {self._endpoints} ({HEALTH_COLUMNS}) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (url) "
                "DO UPDATE SET failing_since = excluded.failing_since, last_failed_at = excluded.last_failed_at, "
                "disabled_at = excluded.disabled_at, reason = excluded.reason",
                after.url,
                milliseconds_of(after.failing_since),
                milliseconds_of(after.last_failed_at),
                milliseconds_of(after.disabled_at),
                after.reason,
            )
        if after.disabled and not before.disabled:
            await connection.execute(
                f"UPDATE {self._table} SET status = 'paused' WHERE status = 'pending' AND url = $1", after.url
            )
        elif before.disabled and not after.disabled:
            await connection.execute(
                f"UPDATE {self._table} SET status = 'pending', due_at = least(due_at, created_at) "
                "WHERE status = 'paused' AND url = $1",
                after.url,
            )

    async def _write(self, connection: Any, deliveries: Sequence[Delivery]) -> None:
        rows = [update_values(each) for each in deliveries]
        if rows:
            await connection.execute(self._update, *columns_of(rows, count=_UPDATED))

    # --- looking ----------------------------------------------------------------------------------------------

    async def overdue(self, connection: Any, now: datetime, limit: int) -> Overdue:
        """Return leases that ran out, and what each courier holds."""
        held = f"SELECT worker, id, run FROM {self._table} WHERE status = 'sending'"
        expired = await connection.fetch(f"{held} AND lease_until <= $1 LIMIT $2", milliseconds(now), limit)
        holders: dict[str, list[Lease]] = {}
        for worker, delivery_id, run in await connection.fetch(held):
            holders.setdefault(worker, []).append(Lease(delivery_id, run))
        leases = tuple(Lease(delivery_id, run) for _, delivery_id, run in expired)
        return Overdue(leases, (), {worker: tuple(found) for worker, found in holders.items()})

    async def get(self, connection: Any, delivery_id: str) -> Delivery | None:
        """Return a delivery."""
        row = await connection.fetchrow(f"{self._select} WHERE id = $1", delivery_id)
        return None if row is None else delivery_from(row)

    async def of_operation(self, connection: Any, operation_id: str) -> list[Delivery]:
        """Return an operation's deliveries, oldest first."""
        rows = await connection.fetch(f"{self._select} WHERE operation = $1 ORDER BY id", operation_id)
        return [delivery_from(row) for row in rows]

    async def list_page(self, connection: Any, query: DeliveryQuery) -> list[Delivery]:
        """Return a page of the log, newest first."""
        statuses = [status.value for status in query.statuses] or None
        rows = await connection.fetch(
            f"{self._select} WHERE ($1::text IS NULL OR id < $1) AND ($2::text IS NULL OR url = $2) "
            "AND ($3::text[] IS NULL OR status = ANY ($3::text[])) ORDER BY id DESC LIMIT $4",
            query.before_id,
            query.url,
            statuses,
            query.limit,
        )
        return [delivery_from(row) for row in rows]

    async def unhealthy(self, connection: Any) -> list[Health]:
        """Return the health of every URL that failed last."""
        rows = await connection.fetch(f"SELECT {HEALTH_COLUMNS} FROM {self._endpoints} ORDER BY url")
        return [health_from(row) for row in rows]

    # --- retention --------------------------------------------------------------------------------------------

    async def forget_endpoints(self, connection: Any, now: datetime) -> None:
        """Forget old failures of URLs that nothing waits for, since callers may name ever new ones."""
        await connection.execute(
            f"DELETE FROM {self._endpoints} AS old WHERE last_failed_at < $1 AND NOT EXISTS "
            f"(SELECT 1 FROM {self._table} AS waiting WHERE waiting.status = 'paused' AND waiting.url = old.url)",
            milliseconds(now - _FORGOTTEN_AFTER),
        )
