"""What only child processes do: dying, being killed, memory, descriptors, the fork server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from raincheck.context import MemoryRecorder
from raincheck.core.errors import ExecutorError, OutputOverflow
from raincheck.core.outcome import Died, Interrupted, Raised, Returned
from raincheck.executors import _forkserver
from raincheck.executors._child_loop import ChildLoop
from raincheck.executors._child_recorder import ChildRecorder
from raincheck.executors._frames import Frame, FrameType, receive_frame
from raincheck.executors._launch import Ended, ForkServer
from raincheck.executors.process import ProcessExecutor
from tests.executors import operations
from tests.executors.operations import Signalling, invocation, kind_of

pytestmark = pytest.mark.anyio
HANG = 60


@pytest.fixture
async def executor(anyio_backend):
    """Give a started executor with three slots."""
    made = ProcessExecutor(slots=3)
    await made.start([kind_of(operations.add)])
    yield made
    async with asyncio.timeout(HANG):
        await made.stop()


@contextlib.asynccontextmanager
async def running(executor, function, **keywords):
    """Give a run that has emitted its first chunk, that chunk, and the task that awaits its outcome."""
    recorder = Signalling()
    run = invocation(function, recorder=recorder, **keywords)
    task = asyncio.create_task(executor.run(run))
    first = await recorder.first_output()
    try:
        async with asyncio.timeout(HANG):
            yield run, first, task
    finally:
        task.cancel()
        await asyncio.wait((task,))


def returned(outcome):
    assert isinstance(outcome, Returned), outcome
    return json.loads(outcome.body)


def wait_until_dead(pid):
    """Wait for the end of a process that is no child of this one."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([watched], [], [], HANG)[0], f"process {pid} lives on"
    finally:
        os.close(watched)


async def test_a_child_is_niced_leads_a_group_and_uses_its_main_thread(executor):
    """Each run has a process of its own, below the server's priority, with empty input and the context's fields."""
    first = returned(await executor.run(invocation(operations.where_am_i, metadata={"a": "b"})))
    second = returned(await executor.run(invocation(operations.where_am_i)))
    assert first["pid"] != second["pid"] != os.getpid()
    assert first["group"] == first["pid"]
    assert first["nice"] == min(19, os.nice(0) + 10)
    assert first["main_thread"]
    assert (first["stdin"], first["metadata"], first["attempt"]) == ("", {"a": "b"}, 2)


@pytest.mark.parametrize("function", [operations.spin, operations.spin_async])
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
    if function is operations.spin:
        assert note.read_text() == "cleaned up"


async def test_a_child_that_refuses_to_stop_is_killed_after_its_grace():
    """A function that ignores SIGTERM ends all the same, and the outcome comes after its death."""
    executor = ProcessExecutor(slots=1, grace=timedelta(milliseconds=50))
    await executor.start([kind_of(operations.add)])
    async with running(executor, operations.refuse_to_stop) as (run, pid, task):
        executor.interrupt(run)
        assert await task == Interrupted()
        assert not psutil.pid_exists(pid)
    await executor.stop()


async def test_a_killed_child_is_reported_and_its_sibling_unharmed(executor):
    """A kill -9 of one child ends its run only, as Died with the signal."""
    async with running(executor, operations.wait_for_cancel) as (sibling, _, sibling_task):
        async with running(executor, operations.refuse_to_stop) as (_, pid, task):
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
        (operations.exit_at_once, {"code": 0}, "exited with code 0"),
        (operations.exit_at_once, {"code": 7}, "exited with code 7"),
        (operations.crash, {}, "signal 11 (SIGSEGV)"),
        (operations.kill_yourself, {"number": signal.SIGTERM}, "SIGTERM from outside"),
    ],
)
async def test_a_child_that_ends_without_an_outcome_died(executor, function, keywords, reason):
    """A crash, ``os._exit`` and a SIGTERM that nobody here sent are losses, with the reason."""
    outcome = await executor.run(invocation(function, **keywords))
    assert isinstance(outcome, Died), outcome
    assert reason in outcome.reason
    assert executor.free == 3


@pytest.mark.parametrize("function", [operations.leave_grandchild_behind, operations.fork_and_leave])
async def test_what_a_finished_run_left_behind_is_killed(executor, function):
    """When ``run`` returns, all processes of the run are gone, by exec and by fork."""
    run = invocation(function)
    outcome = await executor.run(run)
    pid = run.context.recorder.outputs[0] if run.context.recorder.outputs else returned(outcome)
    wait_until_dead(pid)


async def test_grandchildren_die_with_a_killed_child(executor):
    """A kill -9 of the child does not leave its helpers behind."""
    async with running(executor, operations.start_grandchild) as (_, (pid, grandchild), task):
        os.kill(pid, signal.SIGKILL)
        assert isinstance(await task, Died)
        wait_until_dead(grandchild)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only process groups are ended")
async def test_what_left_the_group_of_a_finished_run_is_killed_too(executor):
    """A process in a session of its own, and a daemon whose parent has ended."""
    run = invocation(operations.leave_escaped_behind)
    assert returned(await executor.run(run)) == "done"
    for pid in run.context.recorder.outputs[0]:
        wait_until_dead(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only process groups are ended")
@pytest.mark.parametrize("killed", ["the child", "the fork server"])
async def test_what_left_the_group_dies_with_a_killed_run(executor, killed):
    """Whoever of the two is killed: the run that comes next must not meet what the former one had started."""
    async with running(executor, operations.start_escaping) as (_, (pid, *escaped), task):
        os.kill(pid if killed == "the child" else executor._server.process.pid, signal.SIGKILL)
        assert isinstance(await task, Died)
        for each in escaped:
            wait_until_dead(each)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only process groups are ended")
async def test_a_daemon_of_a_living_run_is_left_alone_when_another_ends(executor):
    """Each run adopts its own orphans."""
    async with running(executor, operations.use_a_daemon) as (run, daemon, task):
        for _ in range(3):
            assert returned(await executor.run(invocation(operations.add, left=1, right=2))) == 3
        executor.interrupt(run)
        await task
        wait_until_dead(daemon)


@pytest.mark.parametrize("function", [operations.eat_memory, operations.eat_memory_in_a_grandchild])
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
        await ProcessExecutor().start([kind_of(operations.eat_memory)])


async def test_a_child_inherits_no_descriptors_of_the_server_or_of_siblings(executor, tmp_path):
    """Neither listening sockets nor open files nor another child's socket are there."""
    with socket.create_server(("127.0.0.1", 0)) as listening, (tmp_path / "some.db").open("w") as database:
        listening.set_inheritable(True)
        os.set_inheritable(database.fileno(), True)
        await executor.stop()
        await executor.start([kind_of(operations.add)])
        async with running(executor, operations.wait_for_cancel):
            found = returned(await executor.run(invocation(operations.open_descriptors)))
    assert not [name for name in found if "some.db" in name]
    assert len([name for name in found if name.startswith("socket:")]) == 3  # its own, and its loop's pair


async def test_a_million_progress_calls_send_few_and_the_newest_last(executor):
    """Progress is coalesced in the child."""
    run = invocation(operations.count_progress, count=1_000_000)
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

    run = invocation(operations.progress_and_wait, recorder=Watching())
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

    run = invocation(operations.emit_megabytes, recorder=Slow(), count=20)
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

    run = invocation(operations.drain_in_child, recorder=Draining())
    await executor.run(run)
    assert Draining.drained_after == ["one"]
    assert run.context.recorder.outputs == ["one", "two"]


async def test_a_sync_function_may_run_a_loop_of_its_own(executor):
    """``asyncio.run`` works in a child's sync function as in a thread."""
    assert returned(await executor.run(invocation(operations.run_a_loop))) == 3


async def test_children_draw_different_random_numbers_from_numpy(executor):
    """The global generator of NumPy is seeded anew in each child."""
    pytest.importorskip("numpy")
    executed = [returned(await executor.run(invocation(operations.random_number))) for _ in range(2)]
    assert executed[0] != executed[1]


# --- the fork server --------------------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write an importable module and give a kind of a function in it."""

    def write(source):
        (tmp_path / "written_operations.py").write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(tmp_path)
        function = type(operations.add)(operations.add.__code__, {}, "add")
        function.__module__, function.__qualname__ = "written_operations", "add"
        return operations.operation()(function).__raincheck_kinds__["add"]

    return write


async def test_a_failing_import_is_reported_at_start(module):
    """The traceback of the fresh import is in the error's text."""
    kind = module("raise RuntimeError('no licence found')")
    with pytest.raises(ExecutorError, match=r"written_operations\.py[\s\S]*no licence found"):
        await ProcessExecutor().start([kind])


async def test_a_module_that_exits_is_reported_at_start(module):
    """``sys.exit`` and a hard exit in an import are errors with a text."""
    with pytest.raises(ExecutorError, match="SystemExit"):
        await ProcessExecutor().start([module("raise SystemExit(1)")])
    with pytest.raises(ExecutorError, match="ended while it imported"):
        await ProcessExecutor().start([module("import os; os._exit(1)")])


async def test_a_function_that_a_fresh_import_does_not_decorate_is_reported_at_start(module):
    """A function decorated only later, or replaced by another decorator, is found at start, not at the first run."""
    with pytest.raises(ExecutorError, match="decorated while its module is imported"):
        await ProcessExecutor().start([module("def add(left, right): pass")])


async def test_an_import_that_starts_threads_is_warned_of(module, caplog):
    """Threads do not survive a fork, so the operator is told their names."""
    kind = module(
        """
        import threading
        from tests.executors.operations import operation

        threading.Thread(target=threading.Event().wait, name="poller", daemon=True).start()

        @operation()
        def add(left, right):
            return left + right
        """
    )
    executor = ProcessExecutor()
    await executor.start([kind])
    await executor.stop()
    assert "poller" in caplog.text


async def test_without_kinds_there_is_no_fork_server(anyio_backend):
    """An application without process operations pays nothing; running one then is an operator's error."""
    executor = ProcessExecutor()
    await executor.start([])
    assert executor._server is None
    with pytest.raises(ExecutorError, match="not started"):
        await executor.run(invocation(operations.add, left=1, right=2))
    await executor.stop()


async def test_a_dead_fork_server_ends_its_children_and_is_started_again(executor, caplog):
    """Runs under way are reported as died, the next run gets a new fork server."""
    async with running(executor, operations.start_grandchild) as (_, (pid, grandchild), task):
        executor._server.process.kill()
        outcome = await task
        assert isinstance(outcome, Died)
        assert "fork server" in outcome.reason
        wait_until_dead(pid)
        wait_until_dead(grandchild)
    assert returned(await executor.run(invocation(operations.add, left=1, right=2))) == 3
    assert "started again" in caplog.text


async def test_a_fork_server_that_cannot_start_again_is_a_loss_not_an_error(module, caplog):
    """``run`` tells the reason after a bounded number of tries."""
    source = (
        "from tests.executors.operations import operation\n@operation()\ndef add(left, right): return left + right\n"
    )
    kind = module(source)
    executor = ProcessExecutor()
    await executor.start([kind])
    module("raise RuntimeError('broken deployment')")
    executor._server.process.kill()
    await asyncio.wait((executor._server._listener,))
    outcome = await executor.run(invocation(operations.add, left=1, right=2))
    assert isinstance(outcome, Died)
    assert "broken deployment" in outcome.reason
    await executor.stop()


async def test_a_machine_without_processes_is_no_loss_of_a_worker(executor, monkeypatch):
    """Nothing of the function has run: who asked for the run hears that it cannot be had here now."""
    spawn = ForkServer.spawn

    def refused(server, **wishes):
        child = spawn(server, **wishes)
        server.signal(child, signal.SIGKILL)
        child.ended.set_result(Ended(code=None, unforked="fork failed: [Errno 11] Resource temporarily unavailable"))
        return child

    with monkeypatch.context() as patched:
        patched.setattr(ForkServer, "spawn", refused)
        with pytest.raises(OSError, match="Errno 11"):
            await executor.run(invocation(operations.add, left=1, right=2))
    assert executor.free == executor.slots
    assert returned(await executor.run(invocation(operations.add, left=1, right=2))) == 3


def test_a_fork_that_fails_is_told_as_one(anyio_backend, monkeypatch):
    """Apart from the end of a child: there was none."""
    ours, theirs = socket.socketpair()
    orders, told = socket.socketpair()
    with ours, theirs, orders, told:
        server = _forkserver._ForkServer.__new__(_forkserver._ForkServer)
        server._control, server._received_fds, server._children = told, [theirs.detach()], {}

        def full():
            raise BlockingIOError(11, "Resource temporarily unavailable")

        monkeypatch.setattr(os, "fork", full)
        order = {"number": 7, "memory_limit": None, "niceness": 0}
        server._spawn(Frame(FrameType.SPAWN, json.dumps(order).encode(), b""))
        heard = receive_frame(orders)
        assert heard.type is FrameType.ENDED
        assert heard.fields()["number"] == 7
        assert "Resource temporarily unavailable" in heard.fields()["unforked"]
        assert ours.recv(1) == b""  # the child's end is closed


async def test_a_drain_that_comes_too_late_leaves_the_watch_alive(anyio_backend):
    """A loop of ``asyncio.run`` may have ended before the answer comes; the watch goes on, since it takes cancels."""
    ours, theirs = socket.socketpair()
    child = ChildLoop()
    with ours, theirs, contextlib.closing(child._loop):
        recorder = ChildRecorder(ours, child)
        loop = asyncio.new_event_loop()
        recorder._drains[1] = (loop, loop.create_future())
        loop.close()
        recorder.drained(1)
        assert recorder._drains == {}


async def test_the_fork_server_outlives_signals_meant_for_the_server(executor):
    """A service manager signals every process of a service; only the executor ends the fork server."""
    server = executor._server.process
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        server.send_signal(number)
    assert returned(await executor.run(invocation(operations.add, left=1, right=2))) == 3


async def test_stop_leaves_no_process(executor):
    """After ``stop`` the fork server, a child that refused, and its helpers are gone."""
    async with running(executor, operations.start_grandchild) as (_, (pid, grandchild), task):
        server = executor._server.process
        await executor.stop()
        assert await task == Interrupted()
        assert server.returncode is not None
        wait_until_dead(pid)
        wait_until_dead(grandchild)


# --- programs of their own -------------------------------------------------------------------------------------------

SCRIPT = """
import asyncio, json, sys
from raincheck.executors.process import ProcessExecutor
from tests.executors import operations
from tests.executors.operations import Signalling, invocation, kind_of, operation

print("imported as", __name__, file=sys.stderr)

@operation()
def local(number):
    return [number, __name__]

async def main():
    executor = ProcessExecutor(slots=2)
    await executor.start([kind_of(local), kind_of(operations.start_grandchild)])
    outcome = await executor.run(invocation(local, number=5))
    recorder = Signalling()
    task = asyncio.create_task(executor.run(invocation(operations.start_grandchild, recorder=recorder)))
    pids = await recorder.first_output()
    print(json.dumps({"body": json.loads(outcome.body), "pids": [executor._server.process.pid, *pids]}), flush=True)
    await task

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture(params=["script", "module"])
def program(request, tmp_path):
    """Start a program whose operations live in ``__main__``; give it and what it printed."""
    (tmp_path / "package").mkdir()
    path = tmp_path / "package" / "program.py"
    path.write_text(SCRIPT)
    how = [str(path)] if request.param == "script" else ["-m", "package.program"]
    repository = Path(operations.__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": f"{repository}{os.pathsep}{tmp_path}"}
    with subprocess.Popen([sys.executable, *how], stdout=subprocess.PIPE, cwd=tmp_path, env=environment) as process:
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def test_operations_of_a_main_program_run_and_die_with_it(program):
    """``__main__`` is loaded under another name; a kill -9 of the program kills fork server, child and grandchild."""
    process, told = program
    number, name = told["body"]
    assert number == 5
    assert name in {"__raincheck_main__", "package.program"}
    process.kill()
    for pid in told["pids"]:
        wait_until_dead(pid)
