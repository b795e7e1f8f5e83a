"""Operations and an engine together: each runs once, whatever becomes of its message."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from raincheck.ports_engines import Dispatch, Engine
from tests.engines.conftest import Fleet

pytestmark = pytest.mark.anyio


class DeafToDispatch:
    """An engine in whose process every message is lost, as if the process had died before it sent them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.told: list[Dispatch] = []

    def __getattr__(self, name):
        return getattr(self._engine, name)

    async def dispatch(self, dispatches):
        self.told += dispatches

    async def enlist(self, connection, dispatches):
        self.told += dispatches


@pytest.mark.every_engine
async def test_what_a_web_server_accepts_runs_in_a_worker(fleet: Fleet) -> None:
    """In coroutines and threads, what came before the worker and what comes later; each once."""
    async with fleet.web() as web:
        early = [await web.submit("/noop", x=number) for number in range(5)]
        async with fleet.worker():
            late = [await web.submit(path, x=1) for path in ("/noop", "/threaded") for _ in range(5)]
            for each in early + late:
                await web.done(each)
    assert set(fleet.runs.values()) == {1}


@pytest.mark.every_engine
async def test_a_retry_comes_back_through_the_engine(fleet: Fleet) -> None:
    """One that the function asked for, and one after a failure: both after their wait."""
    async with fleet.web() as web, fleet.worker():
        retried = await web.submit("/again")
        await web.done(retried)
        result = await web.http.get(f"/operations/{retried}/result")
    assert result.json() == 3
    assert fleet.runs[retried] == 3


@pytest.mark.every_engine
async def test_a_flushed_broker_costs_time_but_no_work(fleet: Fleet) -> None:
    """Messages that are gone are sent again when their moment in the rows has passed."""
    async with fleet.web() as web:
        lost = [await web.submit("/noop", x=number) for number in range(10)]
        await asyncio.sleep(0.3)  # a broker is told after the commit
        await asyncio.to_thread(fleet.flush)
        async with fleet.worker():
            for each in lost:
                await web.done(each)
    assert [fleet.runs[each] for each in lost] == [1] * 10


async def test_a_message_that_was_never_sent_is_sent_by_another_process(fleet: Fleet) -> None:
    """The process that accepted it died between the commit and the message."""
    mute = DeafToDispatch(fleet.engine(patience=0.3))
    async with fleet.web(mute) as gone:
        unsent = await gone.submit("/noop", x=1)
    async with fleet.web() as web, fleet.worker():
        await web.done(unsent)
    assert unsent in {each.id for each in mute.told}
    assert fleet.runs[unsent] == 1


async def test_what_was_queued_without_an_engine_is_brought_too(fleet: Fleet) -> None:
    """Before the engine was switched on, or by a command."""
    async with fleet.web("embedded") as web:
        early = await web.submit("/noop", x=1)
        async with fleet.worker():
            await web.done(early)


async def test_messages_for_what_runs_or_is_done_do_nothing(fleet: Fleet) -> None:
    """However often they come."""
    engine = fleet.engine(patience=60)
    async with fleet.web() as web, fleet.worker(engine):
        running = await web.submit("/waits")
        await web.until(running, "running")
        for run in range(5):
            await engine.dispatch([dispatch_to("waits", running, run)])
        other = await web.submit("/noop", x=1)
        await web.done(other)
        fleet.gate.set()
        await web.done(running)
        await engine.dispatch([dispatch_to("waits", running, 7), dispatch_to("noop", "op_" + "0" * 32, 0)])
        last = await web.submit("/noop", x=2)
        await web.done(last)
        assert (await web.get(running))["version"] == 3
    assert fleet.runs[running] == 1


async def test_what_was_cancelled_while_it_waited_does_not_run(fleet: Fleet) -> None:
    """Its message finds nothing to do."""
    async with fleet.web() as web:
        cancelled, kept = await web.submit("/noop", x=1), await web.submit("/noop", x=2)
        await web.http.post(f"/operations/{cancelled}/cancel")
        async with fleet.worker():
            await web.done(kept)
    assert fleet.runs[cancelled] == 0


async def test_a_worker_that_drains_hands_its_work_to_another(fleet: Fleet) -> None:
    """Through the engine: releasing the lease sends a message."""
    async with fleet.web() as web:
        async with fleet.worker(drain="100ms"):
            running = await web.submit("/waits")
            await web.until(running, "running")
        fleet.gate.set()
        async with fleet.worker():
            await web.done(running)
    assert fleet.runs[running] == 2


async def test_a_process_with_a_free_slot_needs_no_message(fleet: Fleet) -> None:
    """Where the server runs work too, what it accepts while nothing waits starts in the accepting transaction."""
    mute = DeafToDispatch(fleet.engine(patience=60))
    async with fleet.web(mute, workers=True) as web:
        started = await web.submit("/noop", x=1)
        await web.done(started)
    assert mute.told == []


async def test_a_worker_takes_no_more_than_its_slots(fleet: Fleet) -> None:
    """What it has no room for stays for the other worker."""
    async with fleet.web() as web, fleet.worker(async_slots=2):
        waiting = [await web.submit("/waits") for _ in range(6)]
        async with asyncio.timeout(20):
            while sum(fleet.runs.values()) < 2:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        assert sum(fleet.runs.values()) == 2
        async with fleet.worker(async_slots=4):
            for each in waiting:
                await web.until(each, "running")
            fleet.gate.set()
            for each in waiting:
                await web.done(each)
    assert set(fleet.runs.values()) == {1}


def dispatch_to(kind: str, operation_id: str, run: int) -> Dispatch:
    """Return a message for an operation."""
    return Dispatch(id=operation_id, run=run, kind=kind, queue="default", priority=0, not_before=datetime.now(UTC))
