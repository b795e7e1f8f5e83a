"""Operations for the executor tests, importable by a child process, and a binding that takes keywords as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import inspect
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

from raincheck.context import MemoryRecorder, OperationContext
from raincheck.core.errors import OperationCancelled, OperationFailed, RetryLater
from raincheck.core.operation import Problem
from raincheck.core.outcome import Returned
from raincheck.core.retry import Retry
from raincheck.invocation import Invocation
from raincheck.ports_functions import Kind

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


class PlainBinding:
    """Gives a function its stored keywords, the context as ``op``, and opens its sync ``yield`` dependencies."""

    def __init__(self, function, dependencies):
        self._function = function
        self._dependencies = dependencies

    async def arguments(self, stored, files):
        return json.loads(stored)

    async def resolve(self, arguments, *, context, stack, run_sync, app):
        keywords = dict(arguments)
        if "op" in inspect.signature(self._function).parameters:
            keywords["op"] = context
        for name, dependency in self._dependencies.items():
            manager = contextlib.contextmanager(dependency)()
            keywords[name] = await run_sync(manager.__enter__)
            stack.push_async_exit(functools.partial(run_sync, manager.__exit__))
        return keywords

    def render(self, value, arguments, *, staging):
        if callable(value):
            value = value()
        return Returned(body=json.dumps(value).encode(), headers=(("x-rendered", "yes"),))

    def render_blocks(self, value):
        return callable(value)

    def explain(self, exception):
        if isinstance(exception, OperationFailed):
            return Problem(code=exception.code, title=exception.title, extensions=exception.extensions)
        return None


def operation(*, executor="process", memory_limit=None, **dependencies):
    """Decorate a function as Raincheck would, for one kind of its own name."""

    def decorate(function):
        kind = Kind(
            name=function.__name__,
            function=function,
            executor=executor,
            retry=Retry(attempts=2, on=(OSError,)),
            timeout=None,
            max_losses=3,
            retention=timedelta(days=1),
            memory_limit=memory_limit,
            queue="default",
            priority=0,
            wait=timedelta(0),
            binding=PlainBinding(function, dependencies),
        )
        function.__raincheck_kinds__ = {kind.name: kind}
        return function

    return decorate


def kind_of(function):
    return function.__raincheck_kinds__[function.__name__]


def invocation(function, *, recorder=None, metadata=None, **keywords):
    """Return one run of a function with stored keywords."""
    context = OperationContext(
        kind=function.__name__, recorder=recorder or MemoryRecorder(), metadata=metadata or {}, attempt=2
    )
    return Invocation(
        kind=kind_of(function),
        context=context,
        stored=json.dumps(keywords),
        files={},
        staging=Path("/nonexistent"),
        max_result=1 << 20,
    )


class Signalling(MemoryRecorder):
    """A recorder whose chunks and log lines can be awaited."""

    __slots__ = ("_loop", "_told", "drains")

    def __init__(self):
        super().__init__()
        self.drains = 0
        self._told = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def output(self, output):
        super().output(output)
        self._loop.call_soon_threadsafe(self._told.set)

    def log(self, line):
        super().log(line)
        self._loop.call_soon_threadsafe(self._told.set)

    async def drain(self):
        self.drains += 1

    async def first_output(self):
        """Wait for a chunk; the bound only ends a hang."""
        async with asyncio.timeout(30):
            while not self.outputs:
                self._told.clear()
                await self._told.wait()
        return self.outputs[0]


# --- operations that run in every executor --------------------------------------------------------------------------


@operation()
def add(left, right):
    return left + right


@operation()
async def add_async(left, right):
    await asyncio.sleep(0)
    return left + right


@operation()
def fail_for_another_try():
    msg = "try again"
    raise OSError(msg)


@operation()
def fail_on_purpose():
    raise OperationFailed(code="no-such-page", extensions={"odd": object})


@operation()
def ask_to_retry():
    raise RetryLater(after="90s")


@operation()
def ask_to_retry_some_day():
    raise RetryLater(after="some day")


class Unpicklable(Exception):
    """An error that holds what no other process can have."""

    def __init__(self):
        super().__init__("unpicklable")
        self.lock = threading.Lock()


@operation()
def fail_unpicklably():
    raise Unpicklable


@operation()
def leave():
    sys.exit(3)


@operation()
def recurse():
    return recurse()


@operation()
def stop_iteration():
    return next(iter(()))


@operation()
def break_out():
    class Odd(BaseException):
        pass

    raise Odd


@operation()
async def await_something_cancelled():
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


@operation()
async def stop_in_a_task_group(op):
    async def step():
        op.emit("waiting")
        while True:
            op.raise_if_cancelled()
            await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as group:
        group.create_task(step())
        group.create_task(step())


@operation()
def emit_many(op, count):
    for number in range(count):
        op.emit(number)


@operation()
async def emit_many_async(op, count):
    for number in range(count):
        op.emit(number)
        if number % 1000 == 0:
            await op.drain()


@operation()
def wait_for_cancel(op):
    op.emit("waiting")
    while not op.cancelled:
        time.sleep(0.001)
    op.raise_if_cancelled()


@operation()
def ignore_cancel(op):
    op.emit("waiting")
    while not op.cancelled:
        time.sleep(0.001)
    return "finished all the same"


@operation()
async def wait_async(op):
    try:
        op.emit("waiting")
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0)
        op.emit("cleaned up")


@operation()
async def shrug_off_cancel(op):
    try:
        op.emit("waiting")
        await asyncio.sleep(600)
    except (asyncio.CancelledError, OperationCancelled):  # the second in a process, when it meets running code
        return "finished all the same"


def database():
    connection = sqlite3.connect(":memory:")  # bound to the thread that opened it
    try:
        yield connection
    finally:
        connection.close()


@operation(connection=database)
def use_thread_bound_resource(connection):
    found = connection.execute("SELECT 41 + 1").fetchone()[0]
    return lambda: connection.execute("SELECT ?", (found,)).fetchone()[0]


def noting_dependency():
    events = []
    try:
        yield events
    finally:
        Path(os.environ["RAINCHECK_TEST_NOTE"]).write_text("cleaned up")


# --- operations for child processes ---------------------------------------------------------------------------------


@operation()
def where_am_i(op):
    return {
        "pid": os.getpid(),
        "group": os.getpgid(0),
        "nice": os.nice(0),
        "main_thread": threading.current_thread() is threading.main_thread(),
        "stdin": sys.stdin.read(),
        "metadata": dict(op.metadata),
        "attempt": op.attempt,
    }


@operation(noted=noting_dependency)
def spin(op, noted):
    op.emit(os.getpid())
    while True:
        pass


@operation()
async def spin_async(op):
    op.emit(os.getpid())
    while True:
        pass


@operation()
def refuse_to_stop(op):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    op.emit(os.getpid())
    while True:
        time.sleep(1)


@operation()
def start_grandchild(op):
    op.emit([os.getpid(), subprocess.Popen(SLEEPER).pid])
    while True:
        time.sleep(1)


@operation()
def leave_grandchild_behind(op):
    op.emit(subprocess.Popen(SLEEPER).pid)
    return "done"


def daemonized():
    """Return the id of a process that has left the session, and whose parent has ended."""
    code = f"import subprocess; print(subprocess.Popen({SLEEPER!r}, start_new_session=True, stdout=-3, stderr=-3).pid)"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


@operation()
def start_escaping(op):
    own = subprocess.Popen(SLEEPER, start_new_session=True).pid
    op.emit([os.getpid(), own, daemonized()])
    while True:
        time.sleep(1)


@operation()
def leave_escaped_behind(op):
    op.emit([subprocess.Popen(SLEEPER, start_new_session=True).pid, daemonized()])
    return "done"


@operation()
def use_a_daemon(op):
    pid = daemonized()
    op.emit(pid)
    while not op.cancelled:
        time.sleep(0.01)
    os.kill(pid, 0)  # it lives as long as the run
    return "it lived"


@operation()
def fork_and_leave(op):
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
        os._exit(0)
    return pid


@operation()
def exit_at_once(code):
    os._exit(code)


@operation()
def crash():
    ctypes.string_at(0)


@operation()
def kill_yourself(number):
    os.kill(os.getpid(), number)
    time.sleep(600)


@operation()
def open_descriptors():
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(descriptor.readlink()))
    return found


@operation(memory_limit=150 << 20)
def eat_memory(op):
    eaten = []
    while True:
        eaten.append(bytearray(b"x" * (8 << 20)))
        time.sleep(0.001)


@operation(memory_limit=150 << 20)
def eat_memory_in_a_grandchild(op):
    code = "import time; eaten = b'x' * (200 << 20); time.sleep(600)"
    subprocess.run([sys.executable, "-c", code], check=True)


@operation()
def count_progress(op, count):
    for number in range(count):
        op.progress(number + 1, count)


@operation()
def progress_and_wait(op):
    for number in range(50):
        op.progress(number, 50, message=f"at {number}")
    while not op.cancelled:
        time.sleep(0.001)


@operation()
def emit_megabytes(op, count):
    for _ in range(count):
        op.emit("x" * (1 << 20))


@operation()
def log_something(op):
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("tests.operations")
    logger.addHandler(handler)
    logger.warning("for the operator")
    logger.removeHandler(handler)
    op.log("to the client", "warning")
    return [records[0].operation_id, records[0].operation_kind, records[0].operation_attempt]


@operation()
def run_a_loop():
    return asyncio.run(add_async(1, 2))


@operation()
def random_number():
    import numpy as np

    return float(np.random.random())  # noqa: NPY002 - the global generator is what a fork copies


@operation()
async def drain_in_child(op):
    op.emit("one")
    await op.drain()
    op.emit("two")
