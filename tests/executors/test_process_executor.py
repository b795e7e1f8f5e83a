"""What only child processes do: dying, being killed, memory, descriptors."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from datetime import timedelta

import psutil
import pytest

from raincheck.context import MemoryRecorder
from raincheck.core.errors import ExecutorError, OutputOverflow
from raincheck.core.outcome import Died, Interrupted, Raised
from raincheck.executors.process import ProcessExecutor
from tests.executors import child_operations, operations
from tests.executors.invoking import invocation, kind_of
from tests.executors.processes import HANG, returned, running, wait_until_dead

pytestmark = pytest.mark.anyio


async def test_a_child_is_niced_leads_a_group_and_uses_its_main_thread(executor):
    """Each run has a process of its own, below the server's priority, with empty input and the context's fields."""
    first = returned(await executor.run(invocation(child_operations.where_am_i, metadata={"a": "b"})))
    second = returned(await executor.run(invocation(child_operations.where_am_i)))
    assert first["pid"] != second["pid"] != os.getpid()
    assert first["group"] == first["pid"]
    assert first["nice"] == min(19, os.nice(0) + 10)
    if second["session_niceness"] is not None:
        assert second["session_niceness"] == 10
    assert first["main_thread"]
    assert (first["stdin"], first["metadata"], first["attempt"]) == ("", {"a": "b"}, 2)


@pytest.mark.parametrize("function", [child_operations.spin, child_operations.spin_async])
async def test_a_busy_loop_is_interrupted_and_cleans_up(executor, function, tmp_path, monkeypatch):
    """SIGTERM raises in running code, sync and async, so ``yield`` dependencies clean up."""
    note = tmp_path / "note"
    monkeypatch.setenv("RAINCHECK_TEST_NOTE", str(note))
    await executor.stop()
    await executor.start([kind_of(operations.add)])  # the fork server takes the variable
    async with running(executor, function) as (run, pid, task):
        executor.interrupt(run)
        assert await task == Interrupted()
        assert not psutil.pid_exists(pid)
    if function is child_operations.spin:
        assert note.read_text() == "cleaned up"


async def test_a_child_that_refuses_to_stop_is_killed_after_its_grace():
    """A function that ignores SIGTERM ends all the same, and the outcome comes after its death."""
    executor = ProcessExecutor(slots=1, grace=timedelta(milliseconds=50))
    await executor.start([kind_of(operations.add)])
    async with running(executor, child_operations.refuse_to_stop) as (run, pid, task):
        executor.interrupt(run)
        assert await task == Interrupted()
        assert not psutil.pid_exists(pid)
    await executor.stop()


async def test_a_killed_child_is_reported_and_its_sibling_unharmed(executor):
    """A kill -9 of one child ends its run only, as Died with the signal."""
    async with running(executor, operations.wait_for_cancel) as (sibling, _, sibling_task):
        async with running(executor, child_operations.refuse_to_stop) as (_, pid, task):
            os.kill(pid, signal.SIGKILL)
            outcome = await task
        assert isinstance(outcome, Died)
        assert "signal 9 (SIGKILL)" in outcome.reason
        assert returned(await executor.run(invocation(operations.add, left=1, right=2))) == 3
        assert not sibling_task.done()
        executor.interrupt(sibling)
        assert await sibling_task == Interrupted()


@pytest.mark.parametrize(
    ("function", "keywords", "reason"),
    [
        (child_operations.exit_at_once, {"code": 0}, "exited with code 0"),
        (child_operations.exit_at_once, {"code": 7}, "exited with code 7"),
        (child_operations.crash, {}, "signal 11 (SIGSEGV)"),
        (child_operations.kill_yourself, {"number": signal.SIGTERM}, "SIGTERM from outside"),
    ],
)
async def test_a_child_that_ends_without_an_outcome_died(executor, function, keywords, reason):
    """A crash, ``os._exit`` and a SIGTERM that nobody here sent are losses, with the reason."""
    outcome = await executor.run(invocation(function, **keywords))
    assert isinstance(outcome, Died), outcome
    assert reason in outcome.reason
    assert executor.free == 3


@pytest.mark.parametrize("function", [child_operations.leave_grandchild_behind, child_operations.fork_and_leave])
async def test_what_a_finished_run_left_behind_is_killed(executor, function):
    """When ``run`` returns, all processes of the run are gone, by exec and by fork."""
    run = invocation(function)
    outcome = await executor.run(run)
    pid = run.context.recorder.outputs[0] if run.context.recorder.outputs else returned(outcome)
    wait_until_dead(pid)


async def test_grandchildren_die_with_a_killed_child(executor):
    """A kill -9 of the child does not leave its helpers behind."""
    async with running(executor, child_operations.start_grandchild) as (_, (pid, grandchild), task):
        os.kill(pid, signal.SIGKILL)
        assert isinstance(await task, Died)
        wait_until_dead(grandchild)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only process groups are ended")
async def test_what_left_the_group_of_a_finished_run_is_killed_too(executor):
    """A process in a session of its own, and a daemon whose parent has ended."""
    run = invocation(child_operations.leave_escaped_behind)
    assert returned(await executor.run(run)) == "done"
    for pid in run.context.recorder.outputs[0]:
        wait_until_dead(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only process groups are ended")
@pytest.mark.parametrize("killed", ["the child", "the fork server"])
async def test_what_left_the_group_dies_with_a_killed_run(executor, killed):
    """Whoever of the two is killed: the run that comes next must not meet what the former one had started."""
    async with running(executor, child_operations.start_escaping) as (_, (pid, *escaped), task):
        os.kill(pid if killed == "the child" else executor._server.process.pid, signal.SIGKILL)
        assert isinstance(await task, Died)
        for each in escaped:
            wait_until_dead(each)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only process groups are ended")
async def test_a_daemon_of_a_living_run_is_left_alone_when_another_ends(executor):
    """Each run adopts its own orphans."""
    async with running(executor, child_operations.use_a_daemon) as (run, daemon, task):
        for _ in range(3):
            assert returned(await executor.run(invocation(operations.add, left=1, right=2))) == 3
        executor.interrupt(run)
        await task
        wait_until_dead(daemon)


@pytest.mark.parametrize("function", [child_operations.eat_memory, child_operations.eat_memory_in_a_grandchild])
async def test_a_run_above_its_memory_limit_fails(executor, function):
    """The limit counts all processes of the run; the client learns the limit, and another try may follow."""
    async with asyncio.timeout(HANG):
        outcome = await executor.run(invocation(function))
    assert isinstance(outcome, Raised)
    assert outcome.error.code == "out-of-memory"
    assert "150 MiB" in outcome.error.detail
    assert outcome.retryable


async def test_a_memory_limit_needs_proc(monkeypatch):
    """A platform that cannot watch the limit refuses it at start."""
    monkeypatch.setattr("raincheck.executors.process.can_measure", lambda: False)
    with pytest.raises(ExecutorError, match="memory_limit"):
        await ProcessExecutor().start([kind_of(child_operations.eat_memory)])


async def test_a_child_inherits_no_descriptors_of_the_server_or_of_siblings(executor, tmp_path):
    """Neither listening sockets nor open files nor another child's socket are there."""
    with socket.create_server(("127.0.0.1", 0)) as listening, (tmp_path / "some.db").open("w") as database:
        listening.set_inheritable(True)
        os.set_inheritable(database.fileno(), True)
        await executor.stop()
        await executor.start([kind_of(operations.add)])
        async with running(executor, operations.wait_for_cancel):
            found = returned(await executor.run(invocation(child_operations.open_descriptors)))
    assert not [name for name in found if "some.db" in name]
    assert len([name for name in found if name.startswith("socket:")]) == 3  # its own, and its loop's pair


async def test_a_million_progress_calls_send_few_and_the_newest_last(executor):
    """Progress is coalesced in the child."""
    run = invocation(child_operations.count_progress, count=1_000_000)
    await executor.run(run)
    told = run.context.recorder.progresses
    assert told[-1].current == 1_000_000
    assert len(told) < 10_000
    assert [one.current for one in told] == sorted(one.current for one in told)


async def test_the_newest_progress_arrives_while_the_function_is_silent(executor):
    """A value that came too soon after another is sent later, not only with the next call."""
    arrived = asyncio.Event()

    class Watching(MemoryRecorder):
        def progress(self, progress):
            if progress.current == 49:
                arrived.set()

    run = invocation(child_operations.progress_and_wait, recorder=Watching())
    task = asyncio.create_task(executor.run(run))
    async with asyncio.timeout(HANG):
        await arrived.wait()
        executor.interrupt(run)
        assert await task == Interrupted()


async def test_a_child_waits_while_the_recorder_is_behind(executor):
    """20 MB of output do not pile up here: what is not drained stays in the child, and nothing is lost."""
    gate = asyncio.Event()
    blocked = asyncio.Event()

    class Slow(MemoryRecorder):
        async def drain(self):
            blocked.set()
            await gate.wait()

    run = invocation(child_operations.emit_megabytes, recorder=Slow(), count=20)
    task = asyncio.create_task(executor.run(run))
    async with asyncio.timeout(HANG):
        await blocked.wait()
        assert len(run.context.recorder.outputs) <= 2
        gate.set()
        assert returned(await task) is None
    assert len(run.context.recorder.outputs) == 20


async def test_a_full_recorder_is_drained_and_tried_again(executor):
    """OutputOverflow never reaches the child; the chunk is handed over after a drain, once, in its place."""

    class Full(MemoryRecorder):
        refused = 0

        def output(self, output):
            if len(self.outputs) % 3 == 2 and self.refused < len(self.outputs):
                Full.refused = len(self.outputs)
                raise OutputOverflow
            super().output(output)

    run = invocation(operations.emit_many, recorder=Full(), count=10)
    await executor.run(run)
    assert Full.refused > 0
    assert run.context.recorder.outputs == list(range(10))


async def test_a_recorder_that_refuses_ends_the_run(executor):
    """What the recorder raises fails the run, as it would have failed the function's own call."""

    class Refusing(MemoryRecorder):
        def output(self, output):
            raise ConnectionError

    outcome = await executor.run(invocation(operations.emit_many, recorder=Refusing(), count=10))
    assert isinstance(outcome, Raised)
    assert outcome.retryable


async def test_drain_in_a_child_waits_for_the_recorder(executor):
    """``await op.drain()`` drains the recorder on this side before the function goes on."""

    class Draining(MemoryRecorder):
        drained_after = None

        async def drain(self):
            Draining.drained_after = list(self.outputs)

    run = invocation(child_operations.drain_in_child, recorder=Draining())
    await executor.run(run)
    assert Draining.drained_after == ["one"]
    assert run.context.recorder.outputs == ["one", "two"]


async def test_a_sync_function_may_run_a_loop_of_its_own(executor):
    """``asyncio.run`` works in a child's sync function as in a thread."""
    assert returned(await executor.run(invocation(child_operations.run_a_loop))) == 3


async def test_children_draw_different_random_numbers_from_numpy(executor):
    """The global generator of NumPy is seeded anew in each child."""
    pytest.importorskip("numpy")
    executed = [returned(await executor.run(invocation(child_operations.random_number))) for _ in range(2)]
    assert executed[0] != executed[1]
