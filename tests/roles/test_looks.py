"""Looks into the store rest in between, but nobody waits long because the database was slow for another reason."""

from __future__ import annotations

import asyncio

import pytest

from raincheck.roles import tail as tail_module
from raincheck.roles.cancel_watch import CancelWatch
from raincheck.roles.looks import rest_after
from raincheck.roles.tail import Tail
from raincheck.testing.conformance.specimens import started

STALL = 10.0


def test_few_readers_never_wait_long_for_the_next_look():
    """Whatever the last one took."""
    assert rest_after(10.0, watched=1) < 0.02
    assert rest_after(0.0005, watched=1) == pytest.approx(0.0045)


def test_large_looks_take_a_tenth_of_the_time_at_most():
    """Ten thousand readers are looked for all the same, in one query."""
    assert rest_after(0.2, watched=10_000) == pytest.approx(1.8)


@pytest.fixture
def slow(monkeypatch):
    """Let ten seconds of the loop's clock pass in each call of a method of the store, and count the calls."""

    def slowed(store, name):
        loop = asyncio.get_running_loop()
        now, called, passed = loop.time, asyncio.Semaphore(0), 0
        monkeypatch.setattr(loop, "time", lambda: now() + STALL * passed)
        method = getattr(store, name)

        async def stalled(*arguments, **keywords):
            nonlocal passed
            found = await method(*arguments, **keywords)
            passed += 1
            called.release()
            return found

        monkeypatch.setattr(store, name, stalled)
        return called

    return slowed


@pytest.mark.anyio
async def test_a_reader_hears_of_the_next_event_soon_after_a_look_that_took_long(store, slow, monkeypatch):
    """The look waited for a busy disk: that is no reason to look away while the worker goes on."""
    monkeypatch.setattr(tail_module, "_POLL", 3600)
    looked = slow(store, "versions")
    tail = Tail(store=store)
    operation = await started(store)
    await tail.start()
    try:
        with tail.watch(operation.id):
            for _ in range(2):
                tail.notice()
                await asyncio.wait_for(looked.acquire(), 3 * STALL)
    finally:
        await tail.stop()


@pytest.mark.anyio
async def test_a_cancel_is_heard_of_soon_after_a_look_that_took_long(store, slow):
    """A look that waited for the database once made the next cancel wait for the heartbeat."""
    looked = slow(store, "cancelling")
    watch = CancelWatch(store=store, worker="w", busy=lambda: True, asked=lambda _leases: None)
    await watch.start()
    try:
        for _ in range(2):
            watch.notice()
            await asyncio.wait_for(looked.acquire(), 3 * STALL)
    finally:
        await watch.stop()
