"""Promise 2 of OperationStore: an operation goes to one worker at a time, in order."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

import pytest

from raincheck.core import transitions
from raincheck.core.operation import Status
from raincheck.testing.conformance.specimens import (
    LEASE_END,
    NOW,
    SECOND,
    WORKER,
    Store,
    a_claim,
    an_operation,
    brought_to,
    record_of,
    started,
    submitted,
)


class ClaimConformance:
    """Claiming follows ``transitions.claim``."""

    pytestmark = pytest.mark.anyio

    @pytest.mark.parametrize("due_in", [-SECOND, timedelta(0), SECOND])
    @pytest.mark.parametrize("status", list(Status))
    async def test_the_store_claims_exactly_what_the_rules_allow(
        self, store: Store, status: Status, due_in: timedelta
    ) -> None:
        """The predicate in the store's query and the one in ``transitions`` are the same, in every status."""
        before = await brought_to(store, status)
        now = NOW - due_in
        expected = transitions.claim(before, worker=WORKER, lease_until=LEASE_END, now=now)
        claimed = await store.claim(a_claim(now=now))
        assert claimed == ([] if expected is None else [expected.operation])
        assert await record_of(store, before.id) == (before if expected is None else expected.operation)

    @pytest.mark.parametrize("scheduled_in", [None, -SECOND, SECOND])
    @pytest.mark.parametrize("written_in", [0 * SECOND, transitions.CLOCK_TOLERANCE, timedelta(hours=2)])
    async def test_the_store_claims_by_the_rules_after_the_clock_was_set_back(
        self, store: Store, written_in: timedelta, scheduled_in: timedelta | None
    ) -> None:
        """Work that was queued in what is now the future is claimed, unless the caller scheduled it for later."""
        scheduled = None if scheduled_in is None else NOW + scheduled_in
        moments = {"updated_at": NOW + written_in, "run_at": NOW + written_in + SECOND, "scheduled_for": scheduled}
        operation = an_operation(created=NOW + written_in, **moments)
        await store.submit(operation)
        before = await record_of(store, operation.id)
        expected = transitions.claim(before, worker=WORKER, lease_until=LEASE_END, now=NOW)
        assert await store.claim(a_claim()) == ([] if expected is None else [expected.operation])

    async def test_a_claimed_operation_carries_its_input(self, store: Store) -> None:
        """The worker runs from what it claimed, without another read."""
        await submitted(store, input='{"body": "pages"}', metadata={"ticket": "7"})
        [claimed] = await store.claim(a_claim())
        assert (claimed.input, claimed.metadata) == ('{"body": "pages"}', {"ticket": "7"})

    async def test_each_claim_raises_the_run_and_none_is_reused(self, store: Store) -> None:
        """The run number fences every write, so no two holders may ever share one."""
        operation = await submitted(store)
        for run in range(1, 5):
            [claimed] = await store.claim(a_claim())
            assert claimed.run == run
            await store.change(operation.id, partial(transitions.release, run=run, now=NOW))

    async def test_best_priority_goes_first_then_the_longest_due_then_the_oldest(self, store: Store) -> None:
        """Among equals nobody overtakes."""
        low = await submitted(store, priority=-1, run_at=NOW - 60 * SECOND)
        late = await submitted(store, created=NOW - 90 * SECOND, run_at=NOW - SECOND)
        oldest = await submitted(store, created=NOW - 30 * SECOND, run_at=NOW - 5 * SECOND)
        newer = await submitted(store, created=NOW - 20 * SECOND, run_at=NOW - 5 * SECOND)
        urgent = await submitted(store, priority=1, run_at=NOW)
        claimed = await store.claim(a_claim())
        assert [each.id for each in claimed] == [urgent.id, oldest.id, newer.id, late.id, low.id]

    async def test_a_claim_takes_no_more_than_its_limit(self, store: Store) -> None:
        """A worker claims what it has slots for."""
        for _ in range(3):
            await submitted(store)
        assert len(await store.claim(a_claim(limit=2))) == 2
        assert len(await store.claim(a_claim(limit=2))) == 1
        assert await store.claim(a_claim(limit=2)) == []

    async def test_a_claim_takes_only_the_kinds_it_names(self, store: Store) -> None:
        """An operation of an unknown kind waits for a worker that knows it; it is never dropped."""
        await submitted(store, kind="unknown", priority=9)
        wanted = await submitted(store)
        assert [each.id for each in await store.claim(a_claim())] == [wanted.id]
        assert await store.claim(a_claim(kinds=())) == []
        assert await store.queue_depth(limit=10) == 1

    async def test_a_claim_takes_only_from_its_queues(self, store: Store) -> None:
        """None means every queue, an empty tuple none."""
        slow = await submitted(store, queue="slow")
        await submitted(store, queue="other")
        assert await store.claim(a_claim(queues=())) == []
        assert [each.id for each in await store.claim(a_claim(queues=("slow", "fast")))] == [slow.id]
        assert len(await store.claim(a_claim(queues=None))) == 1

    async def test_claimers_at_the_same_time_get_disjoint_operations(self, store: Store) -> None:
        """Every operation runs, none twice."""
        wanted = {(await submitted(store)).id for _ in range(30)}
        claims = [a_claim(worker=f"worker-{number}", limit=3) for number in range(15)]
        taken = [each.id for claimed in await asyncio.gather(*map(store.claim, claims)) for each in claimed]
        assert len(taken) == 30
        assert set(taken) == wanted

    async def test_a_cancel_and_a_claim_at_the_same_time_agree(self, store: Store) -> None:
        """Either the cancel came first and nothing runs, or the running operation is asked to stop."""
        for _ in range(10):
            operation = await submitted(store)
            cancelled, claimed = await asyncio.gather(
                store.change(operation.id, lambda record: transitions.request_cancel(record, now=NOW)),
                store.claim(a_claim()),
            )
            expected = Status.CANCELLING if claimed else Status.CANCELLED
            assert cancelled.status is expected
            assert (await record_of(store, operation.id)).status is expected


class QueueConformance:
    """What a waiting client is told."""

    pytestmark = pytest.mark.anyio

    async def test_the_position_counts_the_queued_operations_that_go_first(self, store: Store) -> None:
        """In the order of claiming; what runs or is done does not count."""
        await started(store)
        await brought_to(store, Status.SUCCEEDED)
        second = await submitted(store, created=NOW + SECOND)
        first = await submitted(store, created=NOW)
        last = await submitted(store, priority=-1, created=NOW)
        urgent = await submitted(store, priority=1, created=NOW + 9 * SECOND)
        positions = [await store.queue_position(each) for each in (urgent, first, second, last)]
        assert positions == [0, 1, 2, 3]

    async def test_a_position_beyond_a_thousand_is_not_counted(self, store: Store) -> None:
        """Counting a long queue for each poll would cost more than it tells."""
        await asyncio.gather(*[submitted(store) for _ in range(1001)])
        after = await asyncio.gather(*[submitted(store, created=NOW + SECOND * n) for n in (1, 2)])
        assert await store.queue_position(after[0]) is None
        await store.claim(a_claim(limit=1))
        assert await store.queue_position(after[0]) == 1000
        assert await store.queue_position(after[1]) is None

    async def test_the_depth_counts_queued_operations_up_to_the_limit(self, store: Store) -> None:
        """A bounded queue asks only whether it is full."""
        for _ in range(3):
            await store.submit(an_operation(run_at=NOW + SECOND))
        await started(store)
        assert await store.queue_depth(limit=2) == 2
        assert await store.queue_depth(limit=10) == 3
