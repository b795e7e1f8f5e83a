"""The reaper ends what nobody else ends, and spares the living when clocks or stores misbehave."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from raincheck.core.errors import StoreUnavailable
from raincheck.core.operation import Status
from raincheck.ports import Lease
from raincheck.roles.reaper import Reaper
from raincheck.testing.conformance.specimens import SECOND, started, submitted

pytestmark = pytest.mark.anyio
LEASE = 15 * SECOND


class Undertaker:
    """A liveness that knows the dead by name."""

    def __init__(self) -> None:
        self.dead = set()
        self.forgotten = set()

    def is_dead(self, worker):
        return worker in self.dead

    def workers(self):
        return sorted({*self.dead, "alive"})

    def forget(self, worker):
        self.forgotten.add(worker)


@pytest.fixture
def liveness():
    """Provide a liveness where nobody is dead."""
    return Undertaker()


@pytest.fixture
def reaper(store, liveness, time):
    """Provide a reaper on turned clocks."""
    return Reaper(store=store, liveness=liveness, lease=LEASE, clock=time.now, monotonic=time.monotonic)


async def settle(reaper, time, seconds=15.0):
    """Let a reaper look twice a second for a while, without waiting."""
    for _ in range(int(seconds * 2) + 1):
        await reaper.run_once()
        time.pass_(0.5)


async def beating(reaper, store, time, operation, seconds, *, renew_every=5.0):
    """Let a worker renew and the reaper look for a while."""
    lease = Lease(operation.id, operation.run)
    next_renewal = 0.0
    for tick in range(int(seconds * 2)):
        if tick / 2 >= next_renewal:
            await store.renew([lease], lease_until=time.now() + LEASE)
            next_renewal += renew_every
        await reaper.run_once()
        time.pass_(0.5)


async def test_work_of_a_dead_worker_is_queued_again_at_the_first_look(store, reaper, liveness):
    """A free lock needs no patience: takeover does not wait for the lease; the attempt is not counted."""
    operation = await started(store, worker="gone")
    liveness.dead.add("gone")
    await reaper.run_once()
    found = await store.get(operation.id)
    assert (found.status, found.attempt, found.losses) == (Status.QUEUED, 0, 1)


async def test_traces_of_the_dead_stay_while_they_hold_work(store, reaper, liveness):
    """Without the trace nobody could tell that the holder is dead; a trace of a dead one without work is dropped."""
    await started(store, worker="gone")
    liveness.dead |= {"gone", "idle"}
    await reaper.run_once()
    assert liveness.forgotten == {"idle"}


async def test_a_silent_worker_loses_its_lease_when_it_runs_out(store, reaper, time):
    """A worker that neither died nor renews, such as a stopped one, is given up after its lease."""
    operation = await started(store)
    await settle(reaper, time, 14.5)
    assert (await store.get(operation.id)).status is Status.RUNNING
    await settle(reaper, time, 1.5)
    assert (await store.get(operation.id)).status is Status.QUEUED


async def test_a_short_lease_runs_out_too(store, liveness):
    """The time between two looks is no pause of this process, however short the lease is."""
    operation = await started(store)  # its lease ran out long ago
    changed = asyncio.Event()
    store.subscribe(lambda _: changed.set())
    lease = 0.3 * SECOND
    reaper = Reaper(store=store, liveness=liveness, lease=lease, clock=lambda: datetime.now(UTC))
    await reaper.start()
    try:
        await asyncio.wait_for(changed.wait(), 10)
    finally:
        await reaper.stop()
    assert (await store.get(operation.id)).status is Status.QUEUED


@pytest.mark.parametrize("jump", [timedelta(hours=-2), timedelta(days=3)])
async def test_a_jump_of_the_clock_costs_no_living_worker_its_lease(store, reaper, time, jump):
    """After a jump every lease looks expired or endless for a moment; the living renew before one is judged."""
    operation = await started(store)
    await beating(reaper, store, time, operation, 20)
    time.jump(jump)
    await reaper.run_once()
    time.pass_(4.5)  # the next renewal is not due yet
    await reaper.run_once()
    await beating(reaper, store, time, operation, 40)
    found = await store.get(operation.id)
    assert (found.status, found.run, found.losses) == (Status.RUNNING, 1, 0)


@pytest.mark.parametrize("jump", [timedelta(hours=-2), timedelta(days=3)])
async def test_after_a_jump_a_silent_worker_is_still_given_up(store, reaper, time, jump):
    """A jump spares leases for a time, not for ever: one renewed under the new clock runs out under it."""
    operation = await started(store)
    await settle(reaper, time, 2)
    time.jump(jump)
    await store.renew([Lease(operation.id, 1)], lease_until=time.now() + LEASE)
    await settle(reaper, time, 32)
    assert (await store.get(operation.id)).status is Status.QUEUED


async def test_a_process_that_starts_after_a_jump_spares_the_living(store, reaper, time):
    """A new reaper cannot know of a jump before its start, so it judges no lease for one lease time."""
    operation = await started(store)
    time.jump(timedelta(days=3))
    await reaper.run_once()
    time.pass_(4.5)
    await reaper.run_once()
    await beating(reaper, store, time, operation, 30)
    assert (await store.get(operation.id)).run == 1
    assert (await store.get(operation.id)).status is Status.RUNNING


async def test_a_process_that_slept_judges_nobody_at_once(store, reaper, time):
    """A tick that comes late means that the whole machine may have slept, the workers included."""
    operation = await started(store)
    await settle(reaper, time, 16 - 15)
    time.pass_(60)
    await reaper.run_once()
    assert (await store.get(operation.id)).status is Status.RUNNING


async def test_a_write_that_was_held_up_ends_no_lease(store, reaper, time, monkeypatch):
    """What keeps the reaper waiting for the store kept the workers from renewing."""
    operation = await started(store)
    await settle(reaper, time, 14.5)
    time.pass_(1)
    direct = store.change

    async def held_up(operation_id, transition):
        time.pass_(3)
        return await direct(operation_id, transition)

    monkeypatch.setattr(store, "change", held_up)
    await reaper.run_once()
    monkeypatch.undo()
    await beating(reaper, store, time, operation, 20)
    assert (await store.get(operation.id)).losses == 0


async def test_a_passed_deadline_fails_what_is_queued_and_what_runs(store, reaper, time):
    """Deadlines are moments: queued and running operations fail once theirs has passed, others do not."""
    queued = await submitted(store, deadline_at=time.now() + 3 * SECOND)
    running = await started(store, deadline_at=time.now() + 3 * SECOND)
    later = await submitted(store, deadline_at=time.now() + 30 * SECOND)
    time.pass_(4)
    await reaper.run_once()
    for operation in (queued, running):
        found = await store.get(operation.id)
        assert (found.status, found.error.code) == (Status.FAILED, "deadline-exceeded")
    assert (await store.get(later.id)).status is Status.QUEUED


@pytest.mark.parametrize("trouble", [OSError(24, "Too many open files"), StoreUnavailable("away"), ValueError("a bug")])
async def test_no_error_ends_the_looking(store, liveness, time, monkeypatch, trouble):
    """A reaper that stopped at an error would leave the work of the dead for ever."""
    monkeypatch.setattr("raincheck.roles.reaper._INTERVAL", 0.001)
    looks = 0
    overdue = store.overdue
    looked_again = asyncio.Event()

    async def troubled(now):
        nonlocal looks
        looks += 1
        if looks == 1:
            raise trouble
        looked_again.set()
        return await overdue(now)

    monkeypatch.setattr(store, "overdue", troubled)
    reaper = Reaper(store=store, liveness=liveness, lease=LEASE, clock=time.now, monotonic=time.monotonic)
    await reaper.start()
    try:
        await asyncio.wait_for(looked_again.wait(), 5)
    finally:
        await reaper.stop()


async def test_a_poison_operation_ends_as_worker_lost(store, reaper, liveness):
    """The run that makes ``max_losses`` losses ends the operation."""
    operation = await started(store, worker="first", max_losses=1)
    liveness.dead.add("first")
    await reaper.run_once()
    assert (await store.get(operation.id)).error.code == "worker-lost"
