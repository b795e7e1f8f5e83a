"""Webhook deliveries in SQLite: written with the change that makes them, leased, settled, listed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from raincheck.core import delivery_rules
from raincheck.core.deliveries import Health
from raincheck.core.endpoints import TERMINAL_EVENTS, Endpoint, WebhookType, receiver_of
from raincheck.core.moments import milliseconds, moment_at
from raincheck.ports import Lease, Overdue
from raincheck.stores.delivery_rows import (
    DELIVERY_COLUMNS,
    about,
    delivery_from,
    health_from,
    insert_values,
    milliseconds_of,
    update_values,
)
from raincheck.stores.sqlite.many_rows import write_rows
from raincheck.stores.sqlite.queries import statement

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from raincheck.core.deliveries import Delivery
    from raincheck.core.delivery_rules import Verdict
    from raincheck.core.transitions import Change
    from raincheck.ports_deliveries import DeliveryClaim, DeliveryQuery

_FORGOTTEN_AFTER = timedelta(days=30)
_DUE = statement("due_deliveries")
_DUE_RECEIVERS = statement("due_receivers")
_SELECT = f"SELECT {DELIVERY_COLUMNS} FROM deliveries"  # noqa: S608 - constant columns
_INSERT = statement("insert_deliveries")
_UPDATE = (
    "UPDATE deliveries SET due_at = ?, status = ?, run = ?, tries = ?, log = ?, worker = ?, lease_until = ?, "
    "finished_at = ? WHERE id = ?"
)
_PROGRESS = (
    "FROM deliveries WHERE operation = ? AND source = ? AND url = ? AND event = 'operation.progress' "
    "AND status <> 'sending'"
)
_OF_PAGE = (
    "WHERE (:before IS NULL OR id < :before) AND (:url IS NULL OR url = :url) "
    "AND (:any OR status IN (SELECT value FROM json_each(:statuses))) ORDER BY id DESC LIMIT :limit"
)


# --- written with a change -----------------------------------------------------------------------------------------


def insert(connection: sqlite3.Connection, deliveries: Sequence[Delivery]) -> None:
    """Write what changes make known, in a number of steps that does not depend on how much it is; progress aside."""
    _drop_waiting_progress(connection, [each for each in deliveries if each.event in TERMINAL_EVENTS])
    kept: dict[str, Delivery] = {}
    progress: dict[tuple[str, str, str], Delivery] = {}  # of this batch
    for delivery in deliveries:
        superseded = progress.pop(about(delivery), None) if _supersedes(delivery) else None
        if superseded is not None:
            del kept[superseded.id]
        if delivery.event != WebhookType.PROGRESS:
            kept[delivery.id] = delivery
            continue
        due_at = superseded.due_at if superseded is not None else _in_place_of_earlier(connection, delivery)
        kept[delivery.id] = progress[about(delivery)] = replace(delivery, due_at=due_at)
    disabled = {row[0] for row in connection.execute("SELECT url FROM endpoints WHERE disabled_at IS NOT NULL")}
    rows = [insert_values(each, paused=each.url in disabled) for each in kept.values()]
    write_rows(connection, _INSERT, rows)


def _supersedes(delivery: Delivery) -> bool:
    return delivery.event == WebhookType.PROGRESS or delivery.event in TERMINAL_EVENTS


def _in_place_of_earlier(connection: sqlite3.Connection, delivery: Delivery) -> datetime:
    """Drop the operation's other progress for this URL, and return when the first of what waited is due."""
    key = about(delivery)
    query = f"SELECT min(due_at) {_PROGRESS} AND status IN ('pending', 'paused')"
    (earlier,) = connection.execute(query, key).fetchone()
    connection.execute(f"DELETE {_PROGRESS}", key)
    return delivery.due_at if earlier is None else moment_at(earlier)


def _drop_waiting_progress(connection: sqlite3.Connection, ends: Sequence[Delivery]) -> None:
    if not ends:
        return
    connection.execute(
        "DELETE FROM deliveries WHERE operation IN (SELECT json_extract(value, '$[0]') FROM json_each(:ends)) "
        "AND event = 'operation.progress' AND status IN ('pending', 'paused') AND (operation, source, url) IN ("
        "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') "
        "FROM json_each(:ends))",
        {"ends": json.dumps([about(each) for each in ends])},
    )


# --- who hears of every operation ----------------------------------------------------------------------------------


def kept_endpoints(connection: sqlite3.Connection) -> list[Endpoint]:
    """Return the endpoints of the application that was started last."""
    rows = connection.execute("SELECT url, events FROM webhooks ORDER BY url")
    return [Endpoint(url, tuple(json.loads(events))) for url, events in rows]


def keep_endpoints(connection: sqlite3.Connection, endpoints: Sequence[Endpoint]) -> tuple[None, Sequence[Change]]:
    """Keep the endpoints of the application."""
    connection.execute("DELETE FROM webhooks")
    rows = [(endpoint.url, json.dumps(endpoint.events)) for endpoint in endpoints]
    connection.executemany("INSERT INTO webhooks (url, events) VALUES (?, ?)", rows)
    return None, ()


# --- couriers ------------------------------------------------------------------------------------------------------


def due(connection: sqlite3.Connection, claim: DeliveryClaim) -> list[str]:
    """Return the ids of what a courier may lease, the longest due first.

    What goes first of all belongs to one of the receivers that have something due the longest, so a look costs at most
    one query for each that it may lease.
    """
    now = milliseconds(claim.now)
    known = {"now": now, "callbacks": claim.callbacks, "webhooks": json.dumps(claim.webhooks)}
    wanted = {"now": now, "rooms": json.dumps(dict(claim.rooms)), "room": claim.room, "limit": claim.limit}
    found: list[tuple[int, str]] = []
    for receiver, room in connection.execute(_DUE_RECEIVERS, wanted).fetchall():
        found += connection.execute(_DUE, {**known, "receiver": receiver, "room": room})
    return [delivery_id for _, delivery_id in sorted(found)[: claim.limit]]


def lease(
    connection: sqlite3.Connection, ids: Sequence[str], claim: DeliveryClaim
) -> tuple[list[Delivery], Sequence[Change]]:
    """Lease those of the deliveries that are still due."""
    leased = []
    for delivery_id in ids:
        found = get(connection, delivery_id)
        taken = found and delivery_rules.lease(found, worker=claim.worker, lease_until=claim.lease_until, now=claim.now)
        if taken:
            connection.execute(_UPDATE, update_values(taken))
            leased.append(taken)
    return leased, ()


def change(
    connection: sqlite3.Connection,
    delivery_id: str,
    transition: Callable[[Delivery, Health], Verdict | None],
) -> tuple[Verdict, Sequence[Change]]:
    """Apply a transition to a delivery and to the health of its URL."""
    delivery = get(connection, delivery_id)
    if delivery is None:
        raise KeyError(delivery_id)
    health = _health(connection, delivery.url)
    verdict = transition(delivery, health)
    if verdict is None:
        return delivery_rules.Verdict(delivery, health), ()
    if verdict.delivery is not delivery:
        connection.execute(_UPDATE, update_values(verdict.delivery))
    _set_health(connection, health, verdict.health)
    return verdict, ()


def change_endpoint(
    connection: sqlite3.Connection, url: str, transition: Callable[[Health], Health]
) -> tuple[Health, Sequence[Change]]:
    """Apply a transition to the health of a URL."""
    before = _health(connection, url)
    after = transition(before)
    _set_health(connection, before, after)
    return after, ()


def _health(connection: sqlite3.Connection, url: str) -> Health:
    query = "SELECT url, failing_since, last_failed_at, disabled_at, reason FROM endpoints WHERE url = ?"
    row = connection.execute(query, (url,)).fetchone()
    return Health(url=url) if row is None else health_from(row)


def _set_health(connection: sqlite3.Connection, before: Health, after: Health) -> None:
    if after == before:
        return
    if after == Health(url=after.url):
        connection.execute("DELETE FROM endpoints WHERE url = ?", (after.url,))
    else:
        moments = (milliseconds_of(after.failing_since), milliseconds_of(after.last_failed_at))
        connection.execute(
            "INSERT OR REPLACE INTO endpoints (url, failing_since, last_failed_at, disabled_at, reason) "
            "VALUES (?, ?, ?, ?, ?)",
            (after.url, *moments, milliseconds_of(after.disabled_at), after.reason),
        )
    if after.disabled and not before.disabled:
        receiver = receiver_of(after.url)
        connection.execute(
            "UPDATE deliveries SET status = 'paused' WHERE receiver = ? AND status = 'pending' AND url = ?",
            (receiver, after.url),
        )
    elif before.disabled and not after.disabled:
        connection.execute(
            "UPDATE deliveries SET status = 'pending', due_at = min(due_at, created_at) "
            "WHERE status = 'paused' AND url = ?",
            (after.url,),
        )


# --- looking ---------------------------------------------------------------------------------------------------------


def overdue(connection: sqlite3.Connection, now: datetime, limit: int) -> Overdue:
    """Return leases that ran out, and what each courier holds."""
    held = "SELECT worker, id, run FROM deliveries WHERE status = 'sending'"
    expired = connection.execute(f"{held} AND lease_until <= ? LIMIT ?", (milliseconds(now), limit)).fetchall()
    holders: dict[str, list[Lease]] = {}
    for worker, delivery_id, run in connection.execute(held):
        holders.setdefault(worker, []).append(Lease(delivery_id, run))
    leases = tuple(Lease(delivery_id, run) for _, delivery_id, run in expired)
    return Overdue(leases, (), {worker: tuple(found) for worker, found in holders.items()})


def get(connection: sqlite3.Connection, delivery_id: str) -> Delivery | None:
    """Return a delivery."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (delivery_id,)).fetchone()
    return None if row is None else delivery_from(row)


def of_operation(connection: sqlite3.Connection, operation_id: str) -> list[Delivery]:
    """Return an operation's deliveries, oldest first."""
    return [
        delivery_from(row) for row in connection.execute(f"{_SELECT} WHERE operation = ? ORDER BY id", (operation_id,))
    ]


def list_page(connection: sqlite3.Connection, query: DeliveryQuery) -> list[Delivery]:
    """Return a page of the log, newest first."""
    rows = connection.execute(
        f"{_SELECT} {_OF_PAGE}",
        {
            "before": query.before_id,
            "url": query.url,
            "any": not query.statuses,
            "statuses": json.dumps(query.statuses),
            "limit": query.limit,
        },
    )
    return [delivery_from(row) for row in rows]


def unhealthy(connection: sqlite3.Connection) -> list[Health]:
    """Return the health of every URL that failed last."""
    query = "SELECT url, failing_since, last_failed_at, disabled_at, reason FROM endpoints ORDER BY url"
    return [health_from(row) for row in connection.execute(query)]


# --- retention -------------------------------------------------------------------------------------------------------


def bury(connection: sqlite3.Connection, operation_id: str) -> None:
    """Forget the deliveries of an operation."""
    connection.execute("DELETE FROM deliveries WHERE operation = ?", (operation_id,))


def forget_endpoints(connection: sqlite3.Connection, now: datetime) -> None:
    """Forget old failures of URLs that nothing waits for, since callers may name ever new ones."""
    connection.execute(
        "DELETE FROM endpoints WHERE last_failed_at < ? AND NOT EXISTS "
        "(SELECT 1 FROM deliveries WHERE deliveries.status = 'paused' AND deliveries.url = endpoints.url)",
        (milliseconds(now - _FORGOTTEN_AFTER),),
    )
