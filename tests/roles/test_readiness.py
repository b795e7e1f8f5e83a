"""What a readiness probe costs, and when it refuses."""

from __future__ import annotations

import asyncio
import logging

import pytest

from raincheck.core.errors import NotReady, StoreUnavailable
from raincheck.roles.readiness import Readiness

pytestmark = pytest.mark.anyio


class Situation:
    """What a process knows of itself; tests set it."""

    def __init__(self, time) -> None:
        self.asked = 0
        self.answer = None
        self.draining = False
        self.silence = None
        self.readiness = Readiness(
            probe=self.probe,
            draining=lambda: self.draining,
            silence=lambda: self.silence,
            lease=15.0,
            monotonic=time.monotonic,
        )

    async def probe(self):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            await self.answer.wait()

    async def refusal(self):
        with pytest.raises(NotReady) as refused:
            await self.readiness.check()
        return refused.value.detail


@pytest.fixture
def situation(time):
    return Situation(time)


async def test_a_storm_of_probes_asks_the_store_once_a_second(situation, time):
    """A hundred at once are one read, and so are those of the second that follows."""
    await asyncio.gather(*(situation.readiness.check() for _ in range(100)))
    time.pass_(0.9)
    await situation.readiness.check()
    assert situation.asked == 1
    time.pass_(0.2)
    await situation.readiness.check()
    assert situation.asked == 2


async def test_a_store_that_does_not_answer_is_not_waited_for(situation):
    """The probe has its answer within the second that orchestrators give it."""
    situation.answer = asyncio.Event()
    loop = asyncio.get_running_loop()
    began = loop.time()
    refusals = await asyncio.gather(*(situation.refusal() for _ in range(10)))
    assert loop.time() - began < 5
    assert set(refusals) == {"The operation store did not answer within 0.8 s."}
    assert situation.asked == 1


async def test_a_broken_store_is_told_once_in_the_log_and_never_in_the_answer(situation, time, caplog):
    """The answer needs no credentials, so it names nothing; the log has the reason, once while it lasts."""
    situation.answer = StoreUnavailable("connection to postgres://secret@db refused")
    for _ in range(5):
        assert "secret" not in await situation.refusal()
        time.pass_(2)
    situation.answer = None
    with caplog.at_level(logging.WARNING, "raincheck.health"):
        await situation.readiness.check()
    reasons = [record for record in caplog.records if "secret@db" in record.getMessage()]
    assert len(reasons) == 1
    assert "it works again" in caplog.text


async def test_a_probe_that_goes_away_leaves_the_next_one_its_turn(situation):
    """An orchestrator that hangs up must not leave readiness locked."""
    situation.answer = asyncio.Event()
    asking = asyncio.create_task(situation.readiness.check())
    while not situation.asked:
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    situation.answer = None
    await situation.readiness.check()
    assert situation.asked == 2


async def test_a_worker_that_renews_no_lease_is_not_ready(situation):
    """Past its lease others take over what it runs, so nothing new should come; before, it may be slow."""
    situation.silence = 14.9
    await situation.readiness.check()
    situation.silence = 16.0
    assert "renewed no lease for 16 s" in await situation.refusal()


async def test_a_draining_process_is_not_ready_and_asks_no_store(situation):
    """What shuts down must leave the rotation."""
    situation.draining = True
    assert "shutting down" in await situation.refusal()
    assert situation.asked == 0
