"""The process that children are forked from: its imports, its end, and programs that have one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from raincheck.core.errors import ExecutorError
from raincheck.core.outcome import Died, Interrupted
from raincheck.executors import _forkserver
from raincheck.executors._child_loop import ChildLoop
from raincheck.executors._child_recorder import ChildRecorder
from raincheck.executors._frames import Frame, FrameType, receive_frame
from raincheck.executors._launch import Ended, ForkServer
from raincheck.executors.process import ProcessExecutor
from tests.executors import child_operations, operations
from tests.executors.invoking import invocation, operation
from tests.executors.processes import returned, running, wait_until_dead

pytestmark = pytest.mark.anyio


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write an importable module and give a kind of a function in it."""

    def write(source):
        (tmp_path / "written_operations.py").write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(tmp_path)
        function = type(operations.add)(operations.add.__code__, {}, "add")
        function.__module__, function.__qualname__ = "written_operations", "add"
        return operation()(function).__raincheck_kinds__["add"]

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
        from tests.executors.invoking import operation

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
    async with running(executor, child_operations.start_grandchild) as (_, (pid, grandchild), task):
        executor._server.process.kill()
        outcome = await task
        assert isinstance(outcome, Died)
        assert "fork server" in outcome.reason
        wait_until_dead(pid)
        wait_until_dead(grandchild)
    assert returned(await executor.run(invocation(operations.add, left=1, right=2))) == 3
    assert "started again" in caplog.text


async def test_a_fork_server_that_cannot_start_again_is_no_loss_of_a_worker(module):
    """A broken deployment is not the operations' fault: ``run`` refuses with the reason, and they are queued again."""
    source = "from tests.executors.invoking import operation\n@operation()\ndef add(left, right): return left + right\n"
    kind = module(source)
    executor = ProcessExecutor()
    await executor.start([kind])
    module("raise RuntimeError('broken deployment')")
    executor._server.process.kill()
    await asyncio.wait((executor._server._listener,))
    with pytest.raises(ExecutorError, match="broken deployment"):
        await executor.run(invocation(operations.add, left=1, right=2))
    await executor.stop()


async def test_the_fork_server_outlives_signals_meant_for_the_server(executor):
    """A service manager signals every process of a service; only the executor ends the fork server."""
    server = executor._server.process
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        server.send_signal(number)
    assert returned(await executor.run(invocation(operations.add, left=1, right=2))) == 3


async def test_stop_leaves_no_process(executor):
    """After ``stop`` the fork server, a child that refused, and its helpers are gone."""
    async with running(executor, child_operations.start_grandchild) as (_, (pid, grandchild), task):
        server = executor._server.process
        await executor.stop()
        assert await task == Interrupted()
        assert server.returncode is not None
        wait_until_dead(pid)
        wait_until_dead(grandchild)


SCRIPT = """
import asyncio, json, sys
from raincheck.executors import _forkserver
from raincheck.executors._child_loop import ChildLoop
from raincheck.executors._child_recorder import ChildRecorder
from raincheck.executors._frames import Frame, FrameType, receive_frame
from raincheck.executors._launch import Ended, ForkServer
from raincheck.executors.process import ProcessExecutor
from tests.executors import child_operations, operations
from tests.executors.invoking import Signalling, invocation, kind_of, operation

print("imported as", __name__, file=sys.stderr)

@operation()
def local(number):
    return [number, __name__]

async def main():
    executor = ProcessExecutor(slots=2)
    await executor.start([kind_of(local), kind_of(child_operations.start_grandchild)])
    outcome = await executor.run(invocation(local, number=5))
    recorder = Signalling()
    task = asyncio.create_task(executor.run(invocation(child_operations.start_grandchild, recorder=recorder)))
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
