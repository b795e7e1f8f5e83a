"""The promises of Outbox: what an engine must be told of, and claims of what it has brought."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from raincheck.core import transitions
from raincheck.core.dispatch_rules import Terms, first_moment, next_moment
from raincheck.core.operation import Operation, Status
from raincheck.testing.conformance.specimens import (
    LEASE_END,
    NOW,
    PROBLEM,
    SECOND,
    WORKER,
    Store,
    a_claim,
    an_operation,
    brought_to,
    record_of,
    start,
    submitted,
)

if TYPE_CHECKING:
    from raincheck.ports_engines import Outbox

TERMS = Terms(delays=False)
DELAYING = Terms(delays=True, patience=3 * SECOND)
KINDS = ("report", "image")
MUCH_LATER = NOW + timedelta(days=3)


class NamedClaimConformance:
    """Promise 4: a claim that names ids."""

    pytestmark = pytest.mark.anyio

    @pytest.mark.parametrize("due_in", [-SECOND, timedelta(0), SECOND])
    @pytest.mark.parametrize("status", list(Status))
    async def test_a_named_operation_is_claimed_exactly_when_the_rules_allow(
        self, store: Store, status: Status, due_in: timedelta
    ) -> None:
        """A stale message finds that there is nothing to do, in every status, and gets no fencing number."""
        before = await brought_to(store, status)
        now = NOW - due_in
        expected = transitions.claim(before, worker=WORKER, lease_until=LEASE_END, now=now)
        claimed = await store.claim(a_claim(now=now, ids=(before.id,)))
        assert claimed == ([] if expected is None else [expected.operation])
        assert await record_of(store, before.id) == (before if expected is None else expected.operation)

    async def test_only_named_operations_are_claimed(self, store: Store) -> None:
        """Whatever waits beside them, and goes before them."""
        named = [await submitted(store) for _ in range(3)]
        await submitted(store, priority=5)
        ids = (*(each.id for each in named), an_operation().id)
        claimed = await store.claim(a_claim(ids=ids))
        assert {each.id for each in claimed} == {each.id for each in named}
        assert await store.queue_depth(limit=10) == 1

    async def test_a_named_operation_of_another_kind_or_queue_stays(self, store: Store) -> None:
        """A message that went astray starts nothing where the function is not known."""
        image = await submitted(store, kind="image")
        slow = await submitted(store, queue="slow")
        assert await store.claim(a_claim(ids=(image.id,))) == []
        assert await store.claim(a_claim(ids=(slow.id,), queues=("default",))) == []
        assert await store.queue_depth(limit=10) == 2

    async def test_two_workers_with_the_same_message_claim_once(self, store: Store) -> None:
        """A message that was doubled starts one run."""
        for _ in range(10):
            operation = await submitted(store)
            claims = [a_claim(worker=f"worker-{number}", ids=(operation.id,)) for number in range(4)]
            taken = await asyncio.gather(*map(store.claim, claims))
            assert sorted(len(each) for each in taken) == [0, 0, 0, 1]
            assert (await record_of(store, operation.id)).run == 1


class OutboxConformance(NamedClaimConformance):
    """Provide ``store``: a fixture with an open, empty store that implements Outbox too."""

    async def test_without_an_engine_nothing_is_overdue(self, store: Store) -> None:
        """The embedded engine looks at the queue itself."""
        await submitted(store)
        assert await overdue(store, MUCH_LATER) == []

    @pytest.mark.parametrize("terms", [TERMS, DELAYING])
    @pytest.mark.parametrize("due_in", [-SECOND, timedelta(0), 60 * SECOND])
    async def test_a_queued_operation_is_overdue_from_its_moment_on(
        self, store: Store, terms: Terms, due_in: timedelta
    ) -> None:
        """The store's moment and ``first_moment`` are the same, whether it is due now or later."""
        outbox(store).set_terms(terms)
        operation = await submitted(store, run_at=NOW + due_in)
        moment = first_moment(operation, terms)
        assert moment is not None
        assert await overdue(store, moment - SECOND) == []
        assert await overdue(store, moment) == [operation.id]

    @pytest.mark.parametrize("waited", [11, 60, 3600])
    async def test_the_moment_moves_by_as_long_as_the_operation_has_waited(self, store: Store, waited: int) -> None:
        """So a backlog does not fill the broker: the store moves it as ``next_moment`` says."""
        outbox(store).set_terms(TERMS)
        operation = await submitted(store)
        now = NOW + waited * SECOND
        assert await overdue(store, now) == [operation.id]
        moment = next_moment(run_at=operation.run_at, now=now, patience=TERMS.patience)
        assert await overdue(store, moment - SECOND / 10) == []
        assert await overdue(store, moment) == [operation.id]

    @pytest.mark.parametrize("status", [status for status in Status if status is not Status.QUEUED])
    async def test_what_is_not_queued_is_never_overdue(self, store: Store, status: Status) -> None:
        """It runs, or it is done."""
        outbox(store).set_terms(TERMS)
        await brought_to(store, status)
        assert await overdue(store, MUCH_LATER) == []

    async def test_what_is_queued_again_has_a_moment_again(self, store: Store) -> None:
        """A retry, a lost lease and a drain each need a new message."""
        outbox(store).set_terms(TERMS)
        retried = await submitted(store, max_attempts=2)
        lost, released = await submitted(store), await submitted(store)
        for each in (retried, lost, released):
            await start(store, each.id)
        again = NOW + 15 * SECOND
        await store.change(
            retried.id, lambda found: transitions.fail(found, run=1, error=PROBLEM, retry_at=again, now=NOW)
        )
        await store.change(lost.id, lambda found: transitions.lose(found, run=1, now=NOW))
        await store.change(released.id, lambda found: transitions.release(found, run=1, now=NOW))
        assert set(await overdue(store, NOW + TERMS.patience)) == {lost.id, released.id}
        assert await overdue(store, again - SECOND / 10) == []
        assert retried.id in await overdue(store, again)

    async def test_overdue_operations_come_longest_first_and_no_more_than_wanted(self, store: Store) -> None:
        """What waited longest is told first; the rest comes with the next look."""
        outbox(store).set_terms(TERMS)
        second = await submitted(store, created=NOW + SECOND)
        first = await submitted(store)
        await submitted(store, kind="unknown")
        assert await overdue(store, MUCH_LATER, limit=1) == [first.id]
        assert await overdue(store, MUCH_LATER, limit=5) == [second.id]

    async def test_two_who_look_at_once_get_different_operations(self, store: Store) -> None:
        """Each message is sent by one process."""
        outbox(store).set_terms(TERMS)
        waiting = {(await submitted(store)).id for _ in range(30)}
        found = await asyncio.gather(*[overdue(store, MUCH_LATER, limit=10) for _ in range(6)])
        taken = [each for ids in found for each in ids]
        assert len(taken) == len(set(taken))
        assert set(taken) <= waiting
        rest = [each for _ in range(3) for each in await overdue(store, MUCH_LATER, limit=30)]
        assert {*taken, *rest} == waiting

    async def test_what_was_queued_without_an_engine_is_adopted(self, store: Store) -> None:
        """After a change of the engine, and when a command queued something."""
        early = await submitted(store)
        await brought_to(store, Status.SUCCEEDED)
        outbox(store).set_terms(TERMS)
        await submitted(store)
        assert await overdue(store, NOW) == []
        assert await outbox(store).adopt(now=NOW) == 1
        assert await outbox(store).adopt(now=NOW) == 0
        assert await overdue(store, NOW) == [early.id]

    async def test_an_overdue_operation_comes_without_its_input(self, store: Store) -> None:
        """The message holds its id, and the engine may want kind, queue and priority."""
        outbox(store).set_terms(TERMS)
        operation = await submitted(store, queue="slow", priority=3, input='{"body": "large"}')
        [found] = await outbox(store).take_overdue(KINDS, now=MUCH_LATER)
        assert (found.id, found.kind, found.queue, found.priority) == (operation.id, "report", "slow", 3)
        assert found.input == "{}"


def outbox(store: Store) -> Outbox:
    """Return the store as what it is here."""
    assert hasattr(store, "take_overdue"), "the suite needs a store that implements Outbox"
    return store  # type: ignore[return-value]


async def overdue(store: Store, now: object, *, limit: int = 500) -> list[str]:
    """Return the ids of what an engine must be told of."""
    taken: list[Operation] = await outbox(store).take_overdue(KINDS, now=now, limit=limit)  # type: ignore[arg-type]
    return [operation.id for operation in taken]
