"""Promise 4 of OperationStore: leases, and who asks what of them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from raincheck.core import transitions
from raincheck.core.operation import Status
from raincheck.ports import Lease, Renewal
from raincheck.testing.conformance.specimens import (
    LEASE_END,
    NOW,
    SECOND,
    WORKER,
    Store,
    an_operation,
    brought_to,
    record_of,
    start,
    started,
)

_LATER = LEASE_END + 15 * SECOND


class RenewConformance:
    """Renewing follows ``transitions.renewable``."""

    pytestmark = pytest.mark.anyio

    @pytest.mark.parametrize("run", [0, 1, 2])
    @pytest.mark.parametrize("status", list(Status))
    async def test_the_store_renews_exactly_what_the_rules_allow(self, store: Store, status: Status, run: int) -> None:
        """The predicate in the store's query and the one in ``transitions`` are the same, in every status."""
        before = await brought_to(store, status)
        lease = Lease(before.id, run)
        renewal = await store.renew([lease], lease_until=_LATER)
        held = transitions.renewable(before, run=run)
        assert renewal.lost == (frozenset() if held else {lease})
        assert renewal.cancelling == ({lease} if held and status is Status.CANCELLING else frozenset())
        assert (await record_of(store, before.id)).lease_until == (_LATER if held else before.lease_until)

    async def test_one_lost_lease_does_not_keep_the_others_from_being_renewed(self, store: Store) -> None:
        """A worker renews all that it runs in one batch."""
        kept, lost = await started(store), await started(store)
        await store.change(lost.id, lambda record: transitions.lose(record, run=1, now=NOW))
        await start(store, lost.id, worker="worker-2")
        unknown = Lease(an_operation().id, 1)
        renewal = await store.renew([Lease(lost.id, 1), unknown, Lease(kept.id, 1)], lease_until=_LATER)
        assert renewal == Renewal(frozenset({Lease(lost.id, 1), unknown}), frozenset())
        assert (await record_of(store, kept.id)).lease_until == _LATER
        assert (await record_of(store, lost.id)).lease_until == LEASE_END

    async def test_renewing_is_no_change_of_the_operation(self, store: Store) -> None:
        """Readers are not told of it: no version, no event."""
        before = await started(store)
        await store.renew([Lease(before.id, 1)], lease_until=_LATER)
        after = await record_of(store, before.id)
        assert (after.version, after.updated_at) == (before.version, before.updated_at)

    async def test_renewing_nothing_finds_nothing(self, store: Store) -> None:
        """An idle worker costs nothing and fails nothing."""
        assert await store.renew([], lease_until=_LATER) == Renewal(frozenset(), frozenset())

    async def test_leases_are_renewed_from_another_threads_event_loop(self, store: Store) -> None:
        """The heartbeat has a thread of its own, so that a busy loop loses no lease."""
        running = await started(store)
        renewal = await asyncio.to_thread(_renew_in_another_loop, store, Lease(running.id, 1))
        assert renewal == Renewal(frozenset(), frozenset())
        assert (await record_of(store, running.id)).lease_until == _LATER

    async def test_a_blocked_loop_keeps_no_other_thread_from_renewing(self, store: Store) -> None:
        """The lease of work that is well must not run out because something else blocks."""
        running = await started(store)
        with ThreadPoolExecutor(1) as heartbeat:
            beat = heartbeat.submit(_renew_in_another_loop, store, Lease(running.id, 1))
            renewal = beat.result(timeout=10)  # blocks this very loop, on purpose
        assert renewal == Renewal(frozenset(), frozenset())


class ReaperConformance:
    """What the store tells heartbeat and reaper."""

    pytestmark = pytest.mark.anyio

    async def test_cancelling_names_the_runs_of_one_worker_that_were_asked_to_stop(self, store: Store) -> None:
        """Each worker learns of its own."""
        asked, other = await started(store), await started(store, worker="worker-2")
        await started(store)
        for each in (asked, other):
            await store.change(each.id, lambda record: transitions.request_cancel(record, now=NOW))
        assert await store.cancelling(WORKER) == [Lease(asked.id, 1)]
        await store.change(asked.id, lambda record: transitions.release(record, run=1, now=NOW))
        assert await store.cancelling(WORKER) == []

    @pytest.mark.parametrize("early", [-1, 0, 1])
    @pytest.mark.parametrize("status", list(Status))
    async def test_overdue_leases_are_those_that_the_rules_would_end(
        self, store: Store, status: Status, early: int
    ) -> None:
        """The same predicate as ``transitions.expire_lease``, before, at and after the end of the lease."""
        record = await brought_to(store, status)
        now = LEASE_END - early * SECOND
        ends = transitions.expire_lease(record, run=record.run, now=now) is not None
        assert (await store.overdue(now)).expired_leases == ((Lease(record.id, record.run),) if ends else ())

    @pytest.mark.parametrize("early", [-1, 0, 1])
    @pytest.mark.parametrize("status", list(Status))
    async def test_overdue_deadlines_are_those_that_the_rules_would_fail(
        self, store: Store, status: Status, early: int
    ) -> None:
        """The same predicate as ``transitions.expire_deadline``, before, at and after the deadline."""
        record = await brought_to(store, status, deadline_at=NOW + 5 * SECOND)
        now = NOW + 5 * SECOND - early * SECOND
        fails = transitions.expire_deadline(record, now=now) is not None
        assert (await store.overdue(now)).deadlines == ((record.id,) if fails else ())

    async def test_holders_names_what_every_worker_holds(self, store: Store) -> None:
        """A worker that is known to be dead loses its work before the lease ends."""
        first, second = await started(store), await brought_to(store, Status.CANCELLING)
        third = await started(store, worker="worker-2")
        await brought_to(store, Status.QUEUED)
        await brought_to(store, Status.FAILED)
        holders = (await store.overdue(NOW)).holders
        assert {worker: set(leases) for worker, leases in holders.items()} == {
            WORKER: {Lease(first.id, 1), Lease(second.id, 1)},
            "worker-2": {Lease(third.id, 1)},
        }

    async def test_overdue_returns_no_more_than_the_limit_of_each(self, store: Store) -> None:
        """After a long outage the reaper works in portions."""
        for _ in range(3):
            await started(store, deadline_at=NOW)
        found = await store.overdue(LEASE_END, limit=2)
        assert (len(found.expired_leases), len(found.deadlines)) == (2, 2)


def _renew_in_another_loop(store: Store, lease: Lease) -> Renewal:
    async def renew() -> Renewal:
        return await store.renew([lease], lease_until=_LATER)

    return asyncio.run(renew())
