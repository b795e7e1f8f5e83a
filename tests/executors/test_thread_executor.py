"""What only threads do: staying when asked to go, the switch interval, interpreter exit."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from raincheck.core.outcome import Returned
from raincheck.executors._switch_interval import BUSY_INTERVAL, SwitchInterval
from raincheck.executors.thread import ThreadExecutor
from tests.executors import operations
from tests.executors.invoking import Signalling, invocation, operation

pytestmark = pytest.mark.anyio
release = threading.Event()


@operation(executor="thread")
def stay_until_released(op):
    op.emit("here")
    assert release.wait(60)


@operation(executor="thread")
def thread_name():
    return [threading.current_thread().name, threading.current_thread().daemon, sys.getswitchinterval()]


@pytest.fixture(autouse=True)
def released():
    """Let no thread stay behind."""
    release.clear()
    yield
    release.set()


async def test_an_interrupted_thread_that_returns_gives_its_value():
    """Cancelling a thread is a request; a function that ends normally has succeeded."""
    executor = ThreadExecutor(slots=1)
    recorder = Signalling()
    run = invocation(operations.ignore_cancel, recorder=recorder)
    running = asyncio.create_task(executor.run(run))
    await recorder.first_output()
    executor.interrupt(run)
    outcome = await running
    assert isinstance(outcome, Returned)
    assert json.loads(outcome.body) == "finished all the same"
    await executor.stop()


async def test_a_thread_that_stays_keeps_its_slot_and_does_not_hold_up_stop():
    """Neither a cancelled caller nor ``stop`` frees the slot of a function that still runs."""
    executor = ThreadExecutor(slots=1)
    recorder = Signalling()
    running = asyncio.create_task(executor.run(invocation(stay_until_released, recorder=recorder)))
    await recorder.first_output()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert executor.free == 0
    async with asyncio.timeout(30):
        await executor.stop()
    assert executor.free == 0
    task = next(iter(executor._tasks.values()))
    release.set()
    await asyncio.wait((task,))
    await asyncio.sleep(0)
    assert executor.free == 1


async def test_a_machine_without_threads_is_no_failure_of_the_function(monkeypatch):
    """Nothing of the function has run: who asked for the run hears that it cannot be had here now."""
    executor = ThreadExecutor(slots=1)

    def refused(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="new thread"):
            await executor.run(invocation(thread_name))
    assert executor.free == 1
    assert isinstance(await executor.run(invocation(thread_name)), Returned)
    await executor.stop()


async def test_threads_are_daemons_and_used_again():
    """One idle thread serves the next run."""
    executor = ThreadExecutor(slots=4)
    bodies = [json.loads((await executor.run(invocation(thread_name))).body) for _ in range(3)]
    assert {name for name, _, _ in bodies} == {"raincheck-thread-1"}
    assert all(daemon for _, daemon, _ in bodies)
    await executor.stop()


async def test_the_switch_interval_is_short_only_while_threads_run():
    """Busy threads leave the loop its turns; an idle process is as it was."""
    executor = ThreadExecutor(slots=1)
    former = sys.getswitchinterval()
    outcome = await executor.run(invocation(thread_name))
    assert json.loads(outcome.body)[2] == pytest.approx(BUSY_INTERVAL)
    await asyncio.sleep(0)
    assert sys.getswitchinterval() == former
    await executor.stop()


def test_a_switch_interval_set_by_others_is_left_alone():
    """What the application sets while threads run stays."""
    former = sys.getswitchinterval()
    try:
        interval = SwitchInterval()
        interval.enter()
        sys.setswitchinterval(0.003)
        interval.leave()
        assert sys.getswitchinterval() == pytest.approx(0.003)
    finally:
        sys.setswitchinterval(former)


ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import asyncio, time
from raincheck.executors.thread import ThreadExecutor
from tests.executors.invoking import Signalling, invocation, operation

@operation(executor="thread")
def never_end(op):
    op.emit("here")
    while True:
        time.sleep(600)

async def main():
    executor = ThreadExecutor(slots=1)
    recorder = Signalling()
    task = asyncio.create_task(executor.run(invocation(never_end, recorder=recorder)))
    await recorder.first_output()
    await executor.stop()

asyncio.run(main())
print("left")
"""


def test_an_endless_thread_does_not_block_the_exit_of_the_interpreter():
    """A program whose function never ends still ends."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert (done.stdout, done.returncode) == ("left\n", 0), done.stderr
