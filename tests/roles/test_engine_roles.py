"""The dispatcher tells the engine all there is to tell; the taker begins what it brings, once."""

from __future__ import annotations

import asyncio

import pytest

from raincheck.core import transitions
from raincheck.core.dispatch_rules import Terms
from raincheck.core.errors import StoreUnavailable
from raincheck.core.operation import Status
from raincheck.roles import dispatcher as dispatcher_module
from raincheck.roles.claimer import Claimer
from raincheck.roles.dispatcher import Dispatcher
from raincheck.roles.taker import Taker
from raincheck.testing.conformance.engines import a_kind
from raincheck.testing.conformance.specimens import SECOND, an_operation, record_of, start, submitted

pytestmark = pytest.mark.anyio
KINDS = {"report": a_kind("report")}


class Listener:
    """An engine that notes what it is told, and may refuse."""

    name = "listener"
    terms = Terms(delays=False)
    transactional = False

    def __init__(self) -> None:
        self.told = []
        self.refuses = False
        self.asked = 0
        self.news = asyncio.Event()

    async def dispatch(self, dispatches):
        self.asked += 1
        self.news.set()
        if self.refuses:
            raise ConnectionError("away")
        self.told += [each.id for each in dispatches]

    async def next(self):
        await asyncio.wait_for(self.news.wait(), 5)
        self.news.clear()


@pytest.fixture
async def engine(anyio_backend):
    """Provide an engine that listens."""
    return Listener()


@pytest.fixture
async def dispatcher(store, engine, time, monkeypatch):
    """Provide a dispatcher that does not look by itself within a test."""
    monkeypatch.setattr(dispatcher_module, "_INTERVAL", 3600)
    store.set_terms(engine.terms)
    made = Dispatcher(store=store, engine=engine, kinds=KINDS, clock=time.now)
    store.subscribe(made.committed)
    yield made
    await made.stop()


async def test_what_is_queued_here_is_told_after_the_commit(store, engine, dispatcher) -> None:
    """New operations and those that are queued again; what starts with its submit is not."""
    await dispatcher.start()
    first = await submitted(store)
    await engine.next()
    await start(store, first.id)
    await store.change(first.id, lambda found: transitions.release(found, run=1, now=found.updated_at))
    await engine.next()
    assert engine.told == [first.id, first.id]


async def test_an_engine_that_hears_in_the_transaction_is_not_told_again(store, engine, dispatcher) -> None:
    """Its messages were committed with the record."""
    engine.transactional = True
    await dispatcher.start()
    await submitted(store)
    await dispatcher.stop()
    assert engine.asked == 0


async def test_what_the_engine_refuses_is_kept_and_told_later(store, engine, dispatcher, monkeypatch) -> None:
    """In one piece with what came meanwhile; no moment is moved while it refuses."""
    monkeypatch.setattr(dispatcher_module, "_INTERVAL", 0.05)
    engine.refuses = True
    await dispatcher.start()
    first = await submitted(store)
    await engine.next()
    second = await submitted(store)
    await engine.next()
    engine.refuses = False
    while len(engine.told) < 2:
        await engine.next()
    assert engine.told == [first.id, second.id]


async def test_what_waits_past_its_moment_is_told_whoever_queued_it(store, engine, time) -> None:
    """After a look, and the next look tells nothing new."""
    store.set_terms(engine.terms)
    overdue = await submitted(store)
    made = Dispatcher(store=store, engine=engine, kinds=KINDS, clock=time.now)
    await made.run_once()
    await made._send()
    assert engine.told == []
    time.pass_(11)
    await made.run_once()
    await made._send()
    await made.run_once()
    await made._send()
    assert engine.told == [overdue.id]


async def test_the_end_sends_what_waits(store, engine, dispatcher) -> None:
    """A server that stops right after it accepted leaves nothing for others to find."""
    last = await submitted(store)
    await dispatcher.start()
    await dispatcher.stop()
    assert engine.told == [last.id]


async def test_an_engine_that_swallows_the_cancel_holds_up_no_end(store, engine, dispatcher) -> None:
    """As a group of tasks does, in which another task fails while it is cancelled."""

    async def swallows(dispatches):
        engine.news.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ConnectionError("cut off") from None

    engine.dispatch = swallows
    await dispatcher.start()
    await submitted(store)
    await engine.next()
    await asyncio.wait_for(dispatcher.stop(), 5)


# --- the taker --------------------------------------------------------------------------------------------------------


class Runs:
    """Begins runs that last until they are ended."""

    def __init__(self, slots) -> None:
        self.free = slots
        self.begun = []
        self.end = asyncio.Event()

    def begin(self, operation):
        self.free -= 1
        self.begun.append(operation.id)
        return asyncio.ensure_future(self.end.wait())


@pytest.fixture
async def runs(anyio_backend):
    """Provide two slots."""
    return Runs(2)


@pytest.fixture
async def taker(store, runs, time):
    """Provide a desk."""
    made = Taker(
        store=store,
        worker="me",
        kinds=KINDS,
        queues=None,
        room=lambda _: runs.free,
        lease=15 * SECOND,
        clock=time.now,
        begin=runs.begin,
    )
    yield made
    made.close()
    await made.settle()


async def take(taker, operation_id, **more):
    """Hand a message in."""
    taker.expect("async", 1)
    await asyncio.wait_for(taker.take(operation_id, executor="async", **more), 5)


async def test_messages_of_one_turn_are_claimed_in_one_transaction(store, taker, runs, monkeypatch) -> None:
    """A broker that delivers a hundred at once costs one commit."""
    claims = []
    claim = store.claim

    async def counted(wish):
        claims.append(wish.ids)
        return await claim(wish)

    monkeypatch.setattr(store, "claim", counted)
    waiting = [await submitted(store) for _ in range(5)]
    await asyncio.gather(*(take(taker, each.id) for each in waiting))
    assert sorted(runs.begun) == sorted(each.id for each in waiting)
    assert len(claims) == 1


async def test_a_message_without_work_gives_its_slot_back(store, taker, runs) -> None:
    """For what runs, what is done, and what nobody knows."""
    running = await submitted(store)
    await start(store, running.id)
    for each in (running.id, "op_" + "0" * 32):
        await take(taker, each)
    assert runs.begun == []
    assert taker.expected("async") == 0


async def test_a_message_that_came_a_little_early_waits_for_its_moment(store, taker, runs, time) -> None:
    """Engines keep time by other clocks; one that came far too early is dropped, since its engine tells again."""
    early = await submitted(store, run_at=time.now() + 0.2 * SECOND)
    taking = asyncio.ensure_future(take(taker, early.id))
    await asyncio.sleep(0)
    time.pass_(0.3)
    await taking
    assert runs.begun == [early.id]
    await take(taker, (await submitted(store, run_at=time.now() + 60 * SECOND)).id)
    assert len(runs.begun) == 1


async def test_a_store_that_is_away_is_waited_for(store, taker, runs, monkeypatch) -> None:
    """A message in hand is not given back."""
    claim, failures = store.claim, iter([StoreUnavailable("away"), ZeroDivisionError()])

    async def sometimes(wish):
        for error in failures:
            raise error
        return await claim(wish)

    monkeypatch.setattr(store, "claim", sometimes)
    waiting = await submitted(store)
    await take(taker, waiting.id)
    assert runs.begun == [waiting.id]


async def test_taking_to_the_end_lasts_as_long_as_the_run(store, taker, runs) -> None:
    """So an engine that counts tasks counts operations."""
    waiting = await submitted(store)
    taking = asyncio.ensure_future(take(taker, waiting.id, to_the_end=True))
    while not runs.begun:
        await asyncio.sleep(0.01)
    assert (await record_of(store, waiting.id)).status is Status.RUNNING
    assert not taking.done()
    runs.end.set()
    await taking


async def test_room_is_waited_for_until_the_desk_closes(taker, runs) -> None:
    """An engine that waits for room is let go at the end."""
    assert await taker.room("async") == 2
    runs.free = 0
    waiting = asyncio.ensure_future(taker.room("async"))
    await asyncio.sleep(0)
    runs.free = 1
    taker.slot_freed()
    assert await waiting == 1
    runs.free = 0
    last = asyncio.ensure_future(taker.room("async"))
    await asyncio.sleep(0)
    taker.close()
    assert await last == 0


async def test_a_promise_that_a_submit_did_not_use_makes_room_again(store, taker, runs, time) -> None:
    """Nothing else would: with every slot free, messages would stay with the engine until the process ends."""
    claimer = Claimer(
        store=store,
        worker="me",
        kinds=KINDS,
        queues=None,
        room=lambda _: runs.free,
        lease=15 * SECOND,
        clock=time.now,
        begin=runs.begin,
        freed=taker.slot_freed,
        looks=False,
    )
    taker._room = claimer.free
    await claimer.start()
    runs.free = 1
    operation = an_operation()
    assert claimer.offer(operation) is not None
    waiting = asyncio.ensure_future(taker.room("async"))
    await asyncio.sleep(0)
    claimer.settle(operation)
    assert await asyncio.wait_for(waiting, 5) == 1
    await claimer.stop()


async def test_a_message_that_comes_when_others_have_all_slots_waits_without_a_lease(store, taker, runs) -> None:
    """An engine had room and waited for messages; meanwhile submits took the slots, so other processes may begin it."""
    taker._room = lambda _: runs.free - taker.expected("async")
    runs.free = 0
    waiting = [await submitted(store) for _ in range(2)]
    taking = [asyncio.ensure_future(take(taker, each.id)) for each in waiting]
    await asyncio.sleep(0.05)
    assert {(await record_of(store, each.id)).status for each in waiting} == {Status.QUEUED}
    assert taker.expected("async") == 0
    runs.free = 1
    taker.slot_freed()
    await asyncio.wait(taking, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0.05)
    assert runs.begun == [waiting[0].id]
    taker.close()
    await asyncio.gather(*taking)
    assert runs.begun == [waiting[0].id], "the desk has closed: the engine is told again"
    assert taker.expected("async") == 0
