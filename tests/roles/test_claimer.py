"""The claimer takes no more than there is room for, looks when it should, and never stops at an error."""

from __future__ import annotations

import asyncio

import pytest

from raincheck.core.errors import StoreUnavailable
from raincheck.core.operation import Status
from raincheck.core.retry import Retry
from raincheck.ports_functions import Kind
from raincheck.roles import claimer as claimer_module
from raincheck.roles.claimer import Claimer
from raincheck.testing.conformance.specimens import NOW, SECOND, an_operation, submitted

pytestmark = pytest.mark.anyio


def kind(name, executor):
    """Return a kind of an executor."""
    return Kind(
        name=name,
        function=print,
        executor=executor,
        retry=Retry(),
        timeout=None,
        max_losses=3,
        retention=SECOND,
        memory_limit=None,
        queue="default",
        priority=0,
        wait=0 * SECOND,
        binding=None,
    )


class Room:
    """An executor as the claimer sees it."""

    def __init__(self, free) -> None:
        self.free = free


class Desk:
    """Where claimed operations arrive; each takes a slot."""

    def __init__(self, rooms) -> None:
        self.rooms = rooms
        self.begun = []
        self.arrived = asyncio.Event()

    def begin(self, operation):
        self.begun.append(operation)
        self.rooms["async" if operation.kind == "report" else "thread"].free -= 1
        self.arrived.set()

    async def next(self):
        await asyncio.wait_for(self.arrived.wait(), 5)
        self.arrived.clear()


@pytest.fixture
async def desk(anyio_backend):
    """Provide two async slots and one thread."""
    return Desk({"async": Room(2), "thread": Room(1)})


@pytest.fixture
async def claimer(store, desk, time, monkeypatch):
    """Provide a claimer that does not poll by itself within a test."""
    monkeypatch.setattr(claimer_module, "_POLL", 3600)
    made = Claimer(
        store=store,
        worker="me",
        kinds={"report": kind("report", "async"), "image": kind("image", "thread")},
        queues=None,
        room=lambda name: desk.rooms[name].free,
        lease=15 * SECOND,
        clock=time.now,
        begin=desk.begin,
    )
    yield made
    await made.stop()


async def test_it_claims_as_many_as_there_are_free_slots(store, claimer, desk):
    """For each executor; the rest stays queued for others, and unknown kinds are left alone."""
    for name in ("report", "report", "report", "image", "image", "unknown"):
        await submitted(store, kind=name)
    await claimer.run_once()
    assert sorted(operation.kind for operation in desk.begun) == ["image", "report", "report"]
    assert await store.queue_depth(limit=10) == 3


async def test_a_freed_slot_takes_what_was_left(store, claimer, desk):
    """No poll is needed while more waits than there was room for."""
    for _ in range(3):
        await submitted(store)
    await claimer.start()
    await desk.next()
    assert len(desk.begun) == 2
    desk.rooms["async"].free = 1
    claimer.slot_freed()
    await desk.next()
    assert len(desk.begun) == 3


async def test_a_commit_of_this_process_is_claimed_at_once_and_a_due_one_in_time(store, claimer, desk, time):
    """What is queued for later is looked for when it falls due."""
    store.subscribe(claimer.committed)
    await claimer.start()
    await submitted(store)
    await desk.next()
    later = await submitted(store, run_at=time.now() + SECOND / 20)
    time.pass_(0.1)
    await desk.next()
    assert desk.begun[-1].id == later.id


async def test_a_notice_of_another_process_is_enough(store, claimer, desk):
    """A foreign commit may have queued something."""
    await claimer.start()
    await asyncio.sleep(0)
    await submitted(store)
    claimer.notice()
    await desk.next()


async def test_a_deaf_process_finds_work_by_polling(store, claimer, desk, monkeypatch):
    """Without signals only latency changes."""
    monkeypatch.setattr(claimer_module, "_POLL", 0.01)
    await claimer.start()
    await asyncio.sleep(0)
    await submitted(store)
    await desk.next()


@pytest.mark.parametrize("trouble", [StoreUnavailable("away"), OSError(24, "no descriptors"), KeyError("a bug")])
async def test_no_error_ends_the_claiming(store, claimer, desk, monkeypatch, trouble):
    """A claimer that stopped at an error would leave everything queued for ever."""
    monkeypatch.setattr(claimer_module, "_POLL", 0.01)
    claim = store.claim
    failed = asyncio.Event()

    async def failing(wish):
        if not failed.is_set():
            failed.set()
            raise trouble
        return await claim(wish)

    monkeypatch.setattr(store, "claim", failing)
    await submitted(store)
    await claimer.start()
    await desk.next()
    assert failed.is_set()


async def test_a_claim_in_flight_when_it_stops_is_still_begun(store, claimer, desk, monkeypatch):
    """It is committed: dropped, the operation would wait for the end of its lease."""
    claim = store.claim
    committed, proceed = asyncio.Event(), asyncio.Event()

    async def slow(wish):
        claimed = await claim(wish)
        committed.set()
        await proceed.wait()
        return claimed

    monkeypatch.setattr(store, "claim", slow)
    operation = await submitted(store)
    await claimer.start()
    await committed.wait()
    stopping = asyncio.ensure_future(claimer.stop())
    await asyncio.sleep(0)
    proceed.set()
    await stopping
    assert [begun.id for begun in desk.begun] == [operation.id]
    assert desk.begun[0].status is Status.RUNNING


async def test_a_claim_that_fails_while_it_stops_does_not_hide_the_stop(store, claimer, monkeypatch):
    """The store went away in the same moment; a claimer that went on would hold up the end of the process for good."""
    asked, proceed = asyncio.Event(), asyncio.Event()

    async def away(_):
        asked.set()
        await proceed.wait()
        raise StoreUnavailable("away")

    monkeypatch.setattr(store, "claim", away)
    await submitted(store)
    await claimer.start()
    await asked.wait()
    stopping = asyncio.ensure_future(claimer.stop())
    await asyncio.sleep(0)
    proceed.set()
    done, _ = await asyncio.wait({stopping}, timeout=5)
    assert done


# --- claims that a submit takes along ------------------------------------------------------------------------------


async def test_an_offer_holds_a_slot_until_the_submit_has_ended(store, claimer, desk):
    """Two free slots are offered twice, however many submits wait for their commit."""
    await claimer.start()
    first, second, third = (an_operation() for _ in range(3))
    assert claimer.offer(first).limit == 1
    assert claimer.offer(second) is not None
    assert claimer.offer(third) is None
    claimer.settle(first)
    assert claimer.offer(third) is not None
    for each in (second, third):
        claimer.settle(each)


@pytest.mark.parametrize(
    "fields",
    [{"kind": "unknown"}, {"scheduled_for": NOW + SECOND, "run_at": NOW + SECOND}],
)
async def test_what_cannot_start_here_now_gets_no_offer(claimer, fields):
    """It is queued, for another process or another time."""
    await claimer.start()
    assert claimer.offer(an_operation(**fields)) is None


async def test_a_claimer_that_does_not_run_offers_nothing(claimer):
    """Before the start nobody would begin it, after the stop nobody should."""
    assert claimer.offer(an_operation()) is None
    await claimer.start()
    await claimer.stop()
    assert claimer.offer(an_operation()) is None


async def test_what_was_leased_with_its_submit_begins_though_the_caller_went_away(store, claimer, desk):
    """The commit may come after the request was cancelled; left alone, it would wait for the end of its lease."""
    store.subscribe(claimer.committed)
    await claimer.start()
    operation = an_operation()
    await store.submit(operation, claim=claimer.offer(operation))
    claimer.settle(operation)
    [begun] = desk.begun
    assert (begun.id, begun.status, begun.run) == (operation.id, Status.RUNNING, 1)


async def test_a_stop_waits_for_the_submits_that_took_a_claim_along(claimer):
    """Else what they lease would be begun when the drain has ended."""
    await claimer.start()
    operation = an_operation()
    assert claimer.offer(operation) is not None
    stopping = asyncio.ensure_future(claimer.stop())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not stopping.done()
    claimer.settle(operation)
    await asyncio.wait_for(stopping, 5)


async def test_nothing_is_offered_while_more_waits_than_there_was_room_for(store, claimer, desk):
    """What waits goes first, and without an offer the store need not even look."""
    for _ in range(3):
        await submitted(store)
    await claimer.start()
    await desk.next()
    desk.rooms["async"].free = 1
    assert claimer.offer(an_operation()) is None


async def test_a_promise_that_was_not_used_wakes_those_who_found_no_room(store, claimer, desk):
    """A repeated idempotency key takes no slot: what looked meanwhile must not wait for the next poll."""
    desk.rooms["async"].free = 1
    await claimer.start()
    operation = an_operation()
    assert claimer.offer(operation) is not None
    waiting = await submitted(store)
    await claimer.run_once()
    assert desk.begun == []
    claimer.settle(operation)
    await desk.next()
    assert [each.id for each in desk.begun] == [waiting.id]
