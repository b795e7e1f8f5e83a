"""The heartbeat renews what a process holds, whatever its loop and its store do."""

from __future__ import annotations

import asyncio

import pytest

from raincheck.core import transitions
from raincheck.core.errors import StoreUnavailable
from raincheck.ports import Lease, Renewal
from raincheck.roles.heartbeat import Heartbeat
from raincheck.testing.conformance.specimens import NOW, SECOND, started

pytestmark = pytest.mark.anyio


async def test_the_heartbeat_renews_in_one_batch_and_tells_what_it_learns(house):
    """Leases move, cancels and losses come back; with nothing held nothing is written."""
    kept, cancelled, gone = [await started(house.store) for _ in range(3)]
    await house.store.change(cancelled.id, lambda found: transitions.request_cancel(found, now=NOW))
    await house.store.change(gone.id, lambda found: transitions.lose(found, run=1, now=NOW))
    held = [Lease(each.id, 1) for each in (kept, cancelled, gone)]
    beat = Heartbeat(
        store=house.store, lease=15 * SECOND, clock=lambda: NOW + 60 * SECOND, held=lambda: held, renewed=print
    )
    renewal = await beat.run_once()
    assert renewal == Renewal(frozenset({held[2]}), frozenset({held[1]}))
    assert (await house.store.get(kept.id)).lease_until == NOW + 75 * SECOND
    held.clear()
    assert await beat.run_once() is None


async def test_the_heartbeat_beats_while_the_loop_is_blocked(house):
    """It is a thread of its own: a function that blocks the loop starves no lease."""
    import threading

    operation = await started(house.store)
    beaten = threading.Event()
    renew = house.store.renew

    async def renewing(leases, *, lease_until):
        renewal = await renew(leases, lease_until=lease_until)
        beaten.set()
        return renewal

    house.store.renew = renewing
    beat = Heartbeat(
        store=house.store,
        lease=SECOND / 20,
        clock=lambda: NOW,
        held=lambda: [Lease(operation.id, 1)],
        renewed=lambda renewal: None,
    )
    await beat.start()
    assert beaten.wait(5)  # on purpose without await: the loop stands still
    await beat.stop()


async def test_the_heartbeat_goes_on_after_any_error(house):
    """A store that is away, or a bug, must not end the renewals."""
    import threading

    errors = iter([StoreUnavailable("away"), ValueError("a bug")])
    beaten = threading.Event()

    async def renewing(leases, *, lease_until):
        for error in errors:
            raise error
        beaten.set()
        return Renewal(frozenset(), frozenset())

    house.store.renew = renewing
    beat = Heartbeat(
        store=house.store, lease=SECOND / 20, clock=lambda: NOW, held=lambda: [Lease("op", 1)], renewed=lambda _: None
    )
    await beat.start()
    assert await asyncio.to_thread(beaten.wait, 5)
    await beat.stop()
