"""Operations for child processes, which find them by importing this module."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.executors.invoking import operation
from tests.executors.operations import add_async, noting_dependency

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


def session_niceness():
    """Return that of this session against others (sched(7)); None where sessions are not weighed."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        if Path("/proc/sys/kernel/sched_autogroup_enabled").read_text().strip() == "1":
            return int(Path("/proc/self/autogroup").read_text().rpartition(" ")[2])
    return None


@operation()
def where_am_i(op):
    return {
        "pid": os.getpid(),
        "group": os.getpgid(0),
        "nice": os.nice(0),
        "session_niceness": session_niceness(),
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
