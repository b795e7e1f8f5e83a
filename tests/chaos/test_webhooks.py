"""KILL in the middle of a thousand webhooks loses none, and those that come twice have one id."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from datetime import UTC, datetime

import pytest

from raincheck.core.deliveries import Delivery, DeliveryStatus
from raincheck.core.endpoints import Endpoint
from raincheck.ports import DeliveryQuery
from raincheck.stores.sqlite import SqliteStore
from raincheck.testing.conformance.specimens import started, succeed
from tests.chaos.driver import Scene, Server, free_port, until
from tests.contract.receiver import SECRET, Receiver

pytestmark = pytest.mark.chaos
MANY = 1000
FIRST_KILL, SECOND_KILL = 200, 600


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path)
    yield made
    made.close()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def start(scene: Scene) -> Server:
    """Start the server that sends."""
    port = free_port()
    command = ["-m", "uvicorn", "tests.chaos.hooked:app", "--port", str(port), "--log-level", "warning"]
    return scene._launch([sys.executable, *command], port, None)


async def with_store(scene: Scene, work):
    """Do something with the opened store."""
    store = SqliteStore(scene.database)
    await store.open()
    try:
        return await work(store)
    finally:
        await store.close()


def test_a_kill_in_the_middle_of_a_thousand_webhooks_loses_none(scene: Scene, receiver: Receiver) -> None:
    """Each arrives at least once and under one id; what comes twice was under way at a kill."""
    scene.settings |= {"HOOKED_RECEIVER": receiver.url, "HOOKED_SECRET": SECRET}

    async def fill(store: SqliteStore) -> list[str]:
        async def one() -> str:
            running = await started(store, kind="number")
            # Of today, or the pruner would find that its retention has passed.
            return (await succeed(store, running.id, now=datetime.now(UTC))).id

        store.set_endpoints([Endpoint(receiver.url)])
        return await asyncio.gather(*(one() for _ in range(MANY)))

    operations = asyncio.run(with_store(scene, fill))
    for number in (FIRST_KILL, SECOND_KILL):
        server = start(scene)
        until(lambda number=number: len(receiver.received) >= number, what=f"{number} webhooks")
        server.kill()
    start(scene)

    def told() -> set[str]:
        return {each.event["data"]["id"] for each in list(receiver.received)}

    until(lambda: len(receiver.received) >= MANY and told() == set(operations), what="a webhook for each operation")

    async def log(store: SqliteStore) -> list[Delivery]:
        return await store.list_deliveries(DeliveryQuery(limit=2 * MANY))

    def settled() -> bool:
        found = asyncio.run(with_store(scene, log))
        assert len(found) == MANY
        return all(each.status is DeliveryStatus.DELIVERED for each in found)

    until(settled, what="the outcome of each delivery")
    ids = {(each.event["data"]["id"], each.id) for each in receiver.received}
    assert len(ids) == MANY, "an operation came under two ids"
    times = Counter(each.id for each in receiver.received)
    assert sum(times.values()) - MANY <= 2 * 20, "more came twice than were under way"
