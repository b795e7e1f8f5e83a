"""The promises of ``Executor``, asked of all three."""

from __future__ import annotations

import asyncio
import json

import pytest

from raincheck.core.errors import ConfigurationError
from raincheck.core.operation import Progress
from raincheck.core.outcome import AskedToRetry, Interrupted, Raised, Returned
from raincheck.executors.asyncio_ import AsyncioExecutor
from raincheck.executors.process import ProcessExecutor
from raincheck.executors.thread import ThreadExecutor
from raincheck.logs import operation_records, run_logging
from tests.executors import child_operations, operations
from tests.executors.invoking import Signalling, invocation, kind_of

pytestmark = pytest.mark.anyio
HANG = 60
MAKERS = {"async": AsyncioExecutor, "thread": ThreadExecutor, "process": ProcessExecutor}


@pytest.fixture(params=["async", "thread", "process"])
async def executor(request, anyio_backend):
    """Give a started executor with two slots."""
    made = MAKERS[request.param](slots=2)
    await made.start([kind_of(operations.add)])
    yield made
    async with asyncio.timeout(HANG):
        await made.stop()


def returned(outcome):
    assert isinstance(outcome, Returned), outcome
    return json.loads(outcome.body)


@pytest.mark.parametrize("function", [operations.add, operations.add_async])
async def test_a_function_runs_to_its_rendered_value(executor, function):
    """Sync and async functions run in every executor, from the stored request to the rendered value."""
    outcome = await executor.run(invocation(function, left=1, right=2))
    assert returned(outcome) == 3
    assert outcome.headers == (("x-rendered", "yes"),)


@pytest.mark.parametrize(
    ("function", "retryable"),
    [
        (operations.fail_for_another_try, True),
        (operations.fail_unpicklably, False),
        (operations.leave, False),
        (operations.recurse, False),
        (operations.stop_iteration, False),
        (operations.break_out, False),
        (operations.await_something_cancelled, False),
    ],
)
async def test_whatever_a_function_raises_is_its_outcome(executor, function, retryable):
    """``run`` never raises for what the function did, not even ``sys.exit``, and keeps the traceback."""
    outcome = await executor.run(invocation(function))
    assert isinstance(outcome, Raised)
    assert outcome.error.code == "unhandled-error"
    assert outcome.retryable is retryable
    assert function.__name__ in outcome.traceback


async def test_a_failure_on_purpose_keeps_its_code(executor):
    """What the binding explains arrives, even with an extension that has no JSON form."""
    outcome = await executor.run(invocation(operations.fail_on_purpose))
    assert outcome.error.code == "no-such-page"
    assert "odd" in outcome.error.extensions


async def test_retry_later_keeps_its_wait(executor):
    """``RetryLater`` becomes ``AskedToRetry`` with its duration."""
    outcome = await executor.run(invocation(operations.ask_to_retry))
    assert isinstance(outcome, AskedToRetry)
    assert outcome.after.total_seconds() == 90


async def test_retry_later_without_a_usable_wait_is_a_failure_of_the_function(executor):
    """Raised by the executor instead, it would look like a lost worker, and run again and again."""
    outcome = await executor.run(invocation(operations.ask_to_retry_some_day))
    assert isinstance(outcome, Raised)
    assert "'some day' is not a duration" in outcome.traceback


@pytest.mark.parametrize("function", [operations.emit_many, operations.emit_many_async])
async def test_ten_thousand_chunks_arrive_in_order_before_the_outcome(executor, function):
    """Nothing emitted is lost, doubled or out of order."""
    run = invocation(function, count=10_000)
    assert returned(await executor.run(run)) is None
    assert run.context.recorder.outputs == list(range(10_000))


async def test_a_dependency_bound_to_a_thread_works(executor):
    """Entering, function, rendering and leaving of sync code happen on one thread."""
    assert returned(await executor.run(invocation(operations.use_thread_bound_resource))) == 42


@pytest.mark.parametrize(
    "function", [operations.wait_for_cancel, operations.wait_async, operations.stop_in_a_task_group]
)
async def test_an_interrupted_function_gives_interrupted(executor, function):
    """A cancel ends the run when the function has ended, with its clean-up."""
    recorder = Signalling()
    run = invocation(function, recorder=recorder)
    running = asyncio.create_task(executor.run(run))
    await recorder.first_output()
    executor.interrupt(run)
    async with asyncio.timeout(HANG):
        assert await running == Interrupted()
    assert run.context.cancelled
    if function is operations.wait_async:
        assert recorder.outputs == ["waiting", "cleaned up"]


async def test_a_function_that_returns_in_spite_of_a_cancel_gives_its_value(executor):
    """Finished work is not thrown away."""
    recorder = Signalling()
    run = invocation(operations.shrug_off_cancel, recorder=recorder)
    running = asyncio.create_task(executor.run(run))
    await recorder.first_output()
    executor.interrupt(run)
    async with asyncio.timeout(HANG):
        assert returned(await running) == "finished all the same"


async def test_an_interrupt_before_the_start_prevents_it(executor):
    """A run that was asked to stop before it began does not begin."""
    run = invocation(operations.emit_many, count=1)
    executor.interrupt(run)
    assert await executor.run(run) == Interrupted()
    assert run.context.recorder.outputs == []


async def test_interrupting_an_ended_run_does_nothing(executor):
    """A late interrupt harms neither the executor nor the next run."""
    run = invocation(operations.add, left=1, right=1)
    await executor.run(run)
    executor.interrupt(run)
    assert returned(await executor.run(invocation(operations.add, left=2, right=2))) == 4


async def test_a_run_holds_its_slot_until_it_has_ended(executor):
    """``free`` counts down with each run and up again at its end; a run beyond the slots waits for one."""
    recorders = [Signalling(), Signalling()]
    runs = [invocation(operations.wait_async, recorder=recorder) for recorder in recorders]
    assert (executor.slots, executor.free) == (2, 2)
    first = asyncio.create_task(executor.run(runs[0]))
    await recorders[0].first_output()
    assert executor.free == 1
    second = asyncio.create_task(executor.run(runs[1]))
    await recorders[1].first_output()
    assert executor.free == 0
    third = asyncio.create_task(executor.run(invocation(operations.add, left=1, right=1)))
    await asyncio.sleep(0)
    assert executor.free == 0
    executor.interrupt(runs[0])
    assert await first == Interrupted()
    assert returned(await third) == 2
    executor.interrupt(runs[1])
    await second
    assert executor.free == 2


async def test_a_cancelled_caller_ends_the_run_and_is_cancelled(executor):
    """Cancelling the task that awaits ``run`` raises there and leaves no slot behind."""
    recorder = Signalling()
    running = asyncio.create_task(executor.run(invocation(operations.wait_async, recorder=recorder)))
    await recorder.first_output()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    if isinstance(executor, ThreadExecutor):  # the run goes on until it has really ended; stop() sees to that
        await executor.stop()
    assert executor.free == 2


async def test_stop_ends_what_runs(executor):
    """``stop`` interrupts all runs and returns when they have ended."""
    recorder = Signalling()
    running = asyncio.create_task(executor.run(invocation(operations.wait_async, recorder=recorder)))
    await recorder.first_output()
    async with asyncio.timeout(HANG):
        await executor.stop()
        assert await running == Interrupted()
    assert executor.free == 2


async def test_the_newest_progress_arrives_before_the_outcome(executor):
    """However many values were superseded, the last one is there at the end."""
    run = invocation(child_operations.count_progress, count=1000)
    await executor.run(run)
    newest = run.context.recorder.progresses[-1]
    assert newest == Progress(fraction=1.0, current=1000, total=1000)


async def test_log_records_of_a_run_carry_its_operation(executor):
    """The logging module's records name the operation wherever they are made; ``op.log`` reaches the recorder."""
    run = invocation(child_operations.log_something)
    with operation_records(), run_logging(run.context):
        assert returned(await executor.run(run)) == [run.context.id, "log_something", 2]
    (line,) = run.context.recorder.logs
    assert (line.message, line.level) == ("to the client", "warning")


@pytest.mark.parametrize("maker", MAKERS.values())
def test_an_executor_without_slots_is_refused(maker, anyio_backend):
    """An executor that could never run anything is a configuration error."""
    with pytest.raises(ConfigurationError):
        maker(slots=-1)


def test_the_names_are_those_of_the_decorator(anyio_backend):
    """``executor="…"`` names the executor."""
    assert [maker.name for maker in MAKERS.values()] == list(MAKERS)
