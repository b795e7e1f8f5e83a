"""KILL in the middle of a thousand webhooks loses none, and those that come twice have one id."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from raincheck.core.deliveries import Delivery, DeliveryStatus
from raincheck.core.endpoints import Endpoint
from raincheck.ports_deliveries import DeliveryQuery
from raincheck.testing.conformance.specimens import started, succeed
from tests.chaos.driver import PATIENCE, Scene, until
from tests.contract.receiver import SECRET, Receiver

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]
MANY = 1000
FIRST_KILL, SECOND_KILL = 200, 600
SHARED = 400


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def ended(scene: Scene, receiver: Receiver, count: int) -> list[str]:
    """End operations that the receiver hears of, from this process, and return their ids."""

    async def fill(store: Any) -> list[str]:
        async def one() -> str:
            running = await started(store, kind="number")
            # Of today, or the pruner would find that its retention has passed.
            return (await succeed(store, running.id, now=datetime.now(UTC))).id

        await store.set_endpoints([Endpoint(receiver.url)])
        return await asyncio.gather(*(one() for _ in range(count)))

    return scene.with_store(fill)


def test_a_kill_in_the_middle_of_a_thousand_webhooks_loses_none(scene: Scene, receiver: Receiver) -> None:
    """Each arrives at least once and under one id; what comes twice was under way at a kill."""
    scene.settings |= {"HOOKED_RECEIVER": receiver.url, "HOOKED_SECRET": SECRET}

    operations = ended(scene, receiver, MANY)
    for number in (FIRST_KILL, SECOND_KILL):
        server = scene.start(module="tests.chaos.hooked")
        until(lambda number=number: len(receiver.received) >= number, what=f"{number} webhooks")
        server.kill()
    scene.start(module="tests.chaos.hooked")

    told: set[str] = set()
    read = 0

    def told_of_all() -> bool:
        nonlocal read
        new = receiver.received[read:]
        read += len(new)
        told.update(each.event["data"]["id"] for each in new)
        return told == everyone

    # What a dead process was sending waits for its lease of a minute, where no lock tells that it is dead.
    patience = 180.0 if scene.database_url else PATIENCE
    everyone = set(operations)
    until(told_of_all, patience=patience, what="a webhook for each operation")

    async def log(store: Any) -> list[Delivery]:
        return await store.list_deliveries(DeliveryQuery(limit=2 * MANY))

    def settled() -> bool:
        found = scene.with_store(log)
        assert len(found) == MANY
        return all(each.status is DeliveryStatus.DELIVERED for each in found)

    until(settled, what="the outcome of each delivery")
    ids = {(each.event["data"]["id"], each.id) for each in receiver.received}
    assert len(ids) == MANY, "an operation came under two ids"
    times = Counter(each.id for each in receiver.received)
    assert sum(times.values()) - MANY <= 2 * 20, "more came twice than were under way"


@pytest.mark.long
def test_processes_share_webhooks_and_send_none_twice_though_one_of_them_drains(
    scene: Scene, receiver: Receiver
) -> None:
    """Three processes at one table: without a crash each webhook is sent once, also when one is told to stop."""
    scene.settings |= {"HOOKED_RECEIVER": receiver.url, "HOOKED_SECRET": SECRET}
    urls = [f"https://{name}.example.com" for name in ("one", "two", "three")]
    servers = [scene.start(module="tests.chaos.hooked", HOOKED_PUBLIC_URL=url) for url in urls]
    for server in servers:
        server.ready()

    operations = []
    for number in range(SHARED):
        if number == SHARED // 3:
            servers[0].process.terminate()
        staying = servers if number < SHARED // 3 else servers[1:]
        operations.append(staying[number % len(staying)].submit(f"numbers/{number}"))
    until(lambda: len(receiver.received) >= SHARED, what="a webhook for each operation")
    assert servers[0].terminate() < PATIENCE

    async def waiting(store: Any) -> list[Delivery]:
        statuses = (DeliveryStatus.PENDING, DeliveryStatus.SENDING)
        return await store.list_deliveries(DeliveryQuery(statuses=statuses, limit=1))

    until(lambda: not scene.with_store(waiting), what="the outcome of each delivery")
    assert sorted(each.event["data"]["id"] for each in receiver.received) == sorted(operations)
    links = {each.event["data"]["links"]["self"] for each in receiver.received}
    assert {url for url in urls if any(link.startswith(url) for link in links)} == set(urls), "not all have sent"
