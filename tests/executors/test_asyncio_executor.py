"""What only the loop's own executor does."""

from __future__ import annotations

import asyncio
import threading

import pytest

from raincheck.core.outcome import Interrupted, Returned
from raincheck.executors.asyncio_ import AsyncioExecutor
from tests.executors import operations
from tests.executors.invoking import Signalling, invocation, operation

pytestmark = pytest.mark.anyio
entered = threading.Event()
release = threading.Event()
closed = threading.Event()


def slow_dependency():
    entered.set()
    assert release.wait(60)
    try:
        yield "resource"
    finally:
        closed.set()


@operation(executor="async", resource=slow_dependency)
async def use_slow_dependency(resource):
    await asyncio.sleep(0)


async def test_a_function_without_sync_parts_takes_no_thread_and_one_task():
    """The cheap path stays cheap."""
    executor = AsyncioExecutor()
    threads = threading.active_count()
    tasks = len(asyncio.all_tasks())
    recorder = Signalling()
    run = invocation(operations.wait_async, recorder=recorder)
    running = asyncio.create_task(executor.run(run))
    await recorder.first_output()
    assert threading.active_count() == threads
    assert len(asyncio.all_tasks()) == tasks + 2  # the caller's own and the run's
    executor.interrupt(run)
    assert await running == Interrupted()


async def test_a_cancel_during_a_sync_dependency_waits_for_it_and_closes_it():
    """A thread cannot be stopped: its resource is taken over, then the cancel arrives, then it is closed."""
    executor = AsyncioExecutor()
    run = invocation(use_slow_dependency)
    running = asyncio.create_task(executor.run(run))
    await asyncio.to_thread(entered.wait, 60)
    executor.interrupt(run)
    await asyncio.sleep(0)
    assert not running.done()
    release.set()
    async with asyncio.timeout(60):
        assert await running == Interrupted()
    assert closed.is_set()
    await executor.stop()


async def test_a_cancelled_caller_whose_function_returns_is_still_cancelled():
    """A function that swallows the cancel does not swallow it for the task that awaits ``run``."""
    executor = AsyncioExecutor()
    recorder = Signalling()
    running = asyncio.create_task(executor.run(invocation(operations.shrug_off_cancel, recorder=recorder)))
    await recorder.first_output()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert executor.free == 100


async def test_a_hundred_runs_share_the_loop():
    """Runs interleave; each has its own outcome."""
    executor = AsyncioExecutor()
    runs = [executor.run(invocation(operations.add_async, left=n, right=0)) for n in range(100)]
    outcomes = await asyncio.gather(*runs)
    assert [outcome.body for outcome in outcomes if isinstance(outcome, Returned)] == [
        str(n).encode() for n in range(100)
    ]
