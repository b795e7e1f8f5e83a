"""What a claim on PostgreSQL reads and finds, where much waits for another time or lies in the future by mistake."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import asyncpg
import pytest

from raincheck.core.transitions import CLOCK_TOLERANCE
from raincheck.stores.postgres.claims import LOOK_FOR_LATE, Claims, LateLook
from raincheck.testing.conformance.specimens import DAY, NOW, a_claim, an_operation, submitted

pytestmark = pytest.mark.anyio
FUTURE = timedelta(hours=2)


def test_what_lies_in_the_future_is_looked_for_at_the_start_now_and_then_and_as_long_as_there_is_some():
    """Looking reads all that is queued for later, so a claim that finds nothing does it seldom."""
    passed = [100.0]
    look = LateLook(lambda: passed[0])
    assert look.is_due(NOW)
    look.found(anything=False)
    assert not look.is_due(NOW)
    passed[0] += LOOK_FOR_LATE
    assert look.is_due(NOW)
    look.found(anything=True)
    assert look.is_due(NOW)


def test_a_clock_that_steps_back_is_reason_to_look():
    """What was queued before the step is due now; a small correction leaves nothing behind."""
    look = LateLook(lambda: 100.0)
    assert look.is_due(NOW)
    look.found(anything=False)
    assert not look.is_due(NOW - CLOCK_TOLERANCE)
    assert look.is_due(NOW - 3 * CLOCK_TOLERANCE)


async def rows_read(url, text, given):
    """Return how many rows the plan of a statement has gone through, taken or thrown away."""
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    found = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", *given)
    await transaction.rollback()
    await connection.close()
    count, rest = 0.0, [json.loads(found)[0]["Plan"]]
    while rest:
        node = rest.pop()
        rest += node.get("Plans", ())
        if "Relation Name" in node:
            count += (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return count


async def test_what_waits_for_another_time_costs_neither_a_claim_nor_a_submit_nor_a_poll(
    postgres_url, open_store, sent
):
    """After an outage tens of thousands of retries wait for their moment: looking through them would hold up all."""
    store = await open_store(postgres_url)
    first = await submitted(store, priority=7)
    later = [an_operation(run_at=NOW + DAY, scheduled_for=NOW + DAY, priority=number % 3) for number in range(2000)]
    await asyncio.gather(*map(store.submit, later))
    assert [each.id for each in await store.claim(a_claim(limit=10))] == [first.id]
    begun = await store.submit(an_operation(), claim=a_claim(limit=1))
    assert begun.begun is not None
    second = await submitted(store, priority=7)
    sent.clear()
    assert await store.queue_position(second) == 0
    await store.submit(an_operation(), claim=a_claim(limit=1))
    assert [each.id for each in await store.claim(a_claim(limit=1))] == [second.id]
    asked = {text: given for text, given in sent.items() if "status = 'queued'" in text and "SELECT" in text}
    assert len(asked) == 3, "the claim, the submit's question and the position"
    for text, given in asked.items():
        assert await rows_read(store.database.url, text, given) < 100, text


async def test_the_best_priority_goes_first_then_the_longest_due_whatever_waits_beside(postgres_url, open_store):
    """Also with what a clock that was set back has left in the future."""
    store = await open_store(postgres_url)
    wanted = []
    for priority in (9, 5, 5, 0, -3):
        due = NOW - timedelta(seconds=100 - len(wanted))
        wanted.append((await submitted(store, priority=priority, run_at=due, created_at=due, updated_at=due)).id)
        await submitted(store, priority=priority, run_at=NOW + DAY)
        await submitted(store, priority=priority, run_at=due, kind="image")
    left = NOW + FUTURE
    lost = await submitted(store, priority=5, run_at=left, created_at=left, updated_at=left)
    wanted.insert(3, lost.id)
    claimed = [each.id for _ in range(4) for each in await store.claim(a_claim(limit=2))]
    assert claimed == wanted


async def test_a_claim_locks_no_more_than_it_takes(postgres_url, open_store):
    """Another process would pass over what was locked for nothing, and find less than there is."""
    store = await open_store(postgres_url)
    for priority in (2, 1, 0):
        for _ in range(4):
            await submitted(store, priority=priority)
    other = await asyncpg.connect(store.database.url)
    schema = store.database.schema
    async with other.transaction():
        held = await Claims(schema, number="''").lock(other, a_claim(limit=2))
        assert len(held) == 2
        free = f"SELECT count(*) FROM (SELECT 1 FROM {schema}.operations FOR UPDATE SKIP LOCKED) AS free"
        one = await asyncpg.connect(store.database.url)
        assert await one.fetchval(free) == 10
        await one.close()
    await other.close()
