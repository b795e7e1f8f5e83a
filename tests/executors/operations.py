"""Operations that run in every executor."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import threading
import time
from pathlib import Path

from raincheck.core.errors import OperationCancelled, OperationFailed, RetryLater
from tests.executors.invoking import operation


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
