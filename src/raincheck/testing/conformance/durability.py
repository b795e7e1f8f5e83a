"""What must survive the process, and what two processes on the same data must agree on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from raincheck.core import transitions
from raincheck.core.errors import LeaseLost
from raincheck.core.events import Output
from raincheck.core.operation import Operation, Status
from raincheck.ports import Accepted, Lease, ListQuery, Renewal, Replayed, Tombstone
from raincheck.testing.conformance.events import a_whole_life
from raincheck.testing.conformance.specimens import (
    LEASE_END,
    NOW,
    WORKER,
    Store,
    a_claim,
    an_operation,
    brought_to,
    record_of,
    started,
    submitted,
    succeed,
)

if TYPE_CHECKING:
    from raincheck.core.transitions import Change

Reopen = Callable[[], Awaitable[Store]]
Stores = tuple[Store, Store]


class DurableStoreConformance:
    """For stores that outlive the process.

    Provide ``reopen``: a fixture with an async callable that closes the open store, if any, and opens a new instance
    on the same data.
    """

    pytestmark = pytest.mark.anyio

    @pytest.mark.parametrize("status", list(Status))
    async def test_an_operation_survives_a_restart_in_every_status(self, reopen: Reopen, status: Status) -> None:
        """Accepted means that it will finish, whatever happens to this process."""
        before = await brought_to(await reopen(), status, idempotency_key="k", fingerprint="f")
        store = await reopen()
        assert await store.get(before.id) == before
        assert await store.submit(an_operation(idempotency_key="k", fingerprint="f")) == Replayed(before)

    async def test_the_log_survives_a_restart(self, reopen: Reopen) -> None:
        """A reader resumes after it as if nothing had happened."""
        store = await reopen()
        operation = await a_whole_life(store)
        before = await store.events_after({operation.id: 0})
        assert await (await reopen()).events_after({operation.id: 0}) == before

    async def test_a_lease_survives_a_restart(self, reopen: Reopen) -> None:
        """Restarting the store takes nothing from a worker that still holds it."""
        running = await started(await reopen())
        store = await reopen()
        assert await store.claim(a_claim()) == []
        assert await store.renew([Lease(running.id, 1)], lease_until=LEASE_END) == Renewal(frozenset(), frozenset())
        assert (await succeed(store, running.id)).status is Status.SUCCEEDED

    async def test_a_tombstone_survives_a_restart(self, reopen: Reopen) -> None:
        """With its key."""
        store = await reopen()
        gone = await brought_to(store, Status.FAILED, owner="ann", idempotency_key="k", fingerprint="f")
        await store.delete(gone.id, check=transitions.refuse_delete, now=NOW)
        store = await reopen()
        stone = Tombstone(gone.id, "ann", "deleted")
        assert await store.get(gone.id) == stone
        assert await store.submit(an_operation(owner="ann", idempotency_key="k", fingerprint="f")) == stone

    async def test_closing_a_store_loses_no_answered_write(self, reopen: Reopen) -> None:
        """Writes that wait when the store closes are finished or refused, never dropped in silence."""
        store = await reopen()
        operations = [an_operation() for _ in range(50)]
        submits = [asyncio.ensure_future(store.submit(operation)) for operation in operations]
        await submits[0]
        store = await reopen()
        answers = await asyncio.gather(*submits, return_exceptions=True)
        for operation, answer in zip(operations, answers, strict=True):
            expected = operation if answer == Accepted(operation) else None
            assert await store.get(operation.id) == expected


class SharedStoreConformance:
    """For stores that several processes may open at once.

    Provide ``stores``: a fixture with two open instances on the same data.
    """

    pytestmark = pytest.mark.anyio

    async def test_what_one_commits_the_other_reads(self, stores: Stores) -> None:
        """At once: the store is the truth, not a cache of it."""
        here, there = stores
        operation = await submitted(here)
        assert await there.get(operation.id) == operation
        await started(there)
        assert len(await here.list_page(ListQuery(owner=None))) == 2
        assert await here.queue_depth(limit=10) == 1

    async def test_claimers_in_two_processes_get_disjoint_operations(self, stores: Stores) -> None:
        """Every operation runs, none twice."""
        wanted = {(await submitted(stores[0])).id for _ in range(40)}
        claims = [stores[number % 2].claim(a_claim(worker=f"worker-{number}", limit=4)) for number in range(20)]
        taken = [each.id for claimed in await asyncio.gather(*claims) for each in claimed]
        assert len(taken) == 40
        assert set(taken) == wanted

    async def test_a_key_used_in_two_processes_at_once_gives_one_operation(self, stores: Stores) -> None:
        """Requests of one client may reach any process."""
        operations = [an_operation(idempotency_key="k", fingerprint="f") for _ in range(100)]
        submits = [stores[number % 2].submit(operation) for number, operation in enumerate(operations)]
        answers = await asyncio.gather(*submits)
        assert Counter(type(answer) for answer in answers) == {Accepted: 1, Replayed: 99}

    async def test_a_cancel_in_one_process_reaches_the_worker_of_another(self, stores: Stores) -> None:
        """Through the lease that it renews, and when it asks."""
        here, there = stores
        running = await started(here)
        await there.change(running.id, lambda record: transitions.request_cancel(record, now=NOW))
        lease = Lease(running.id, 1)
        assert await here.renew([lease], lease_until=LEASE_END) == Renewal(frozenset(), frozenset({lease}))
        assert await here.cancelling(WORKER) == [lease]

    async def test_a_worker_whose_lease_another_process_took_writes_nothing(self, stores: Stores) -> None:
        """The fence holds across processes."""
        here, there = stores
        running = await started(here)
        await there.change(running.id, lambda record: transitions.lose(record, run=1, now=NOW))
        [taken] = await there.claim(a_claim(worker="worker-2"))
        with pytest.raises(LeaseLost):
            await succeed(here, running.id, run=1)
        assert await record_of(here, running.id) == taken

    async def test_changes_from_two_processes_follow_each_other(self, stores: Stores) -> None:
        """No version is given twice."""
        running = await started(stores[0])

        def emit(record: Operation) -> Change:
            return transitions.record(record, run=1, entries=[Output("0")], now=NOW)

        changed = await asyncio.gather(*[stores[number % 2].change(running.id, emit) for number in range(60)])
        assert sorted(each.version for each in changed) == list(range(3, 63))
        _, events = (await stores[1].events_after({running.id: 2}))[running.id]
        assert [event.version for event in events] == list(range(3, 63))

    async def test_what_one_process_deletes_is_gone_in_the_other(self, stores: Stores) -> None:
        """A tombstone, not an old record."""
        here, there = stores
        record = await brought_to(here, Status.CANCELLED)
        await there.delete(record.id, check=transitions.refuse_delete, now=NOW)
        assert await here.get(record.id) == Tombstone(record.id, "", "deleted")
