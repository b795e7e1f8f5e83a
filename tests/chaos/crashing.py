"""The application under fire, which kills its own process at a named point: ``CHAOS_CRASH=succeeded.after:2``.

The points lie around every commit. The store of the product is wrapped, through its port alone:

- ``submit``, ``claim``, ``renew``, ``delete``, ``prune``: ``.before`` nothing is written, ``.after`` it is durable and
  nobody has heard of it;
- a change is named by what it does (``record``, ``queued``, ``cancelling``, ``succeeded``, ``failed``, ``cancelled``):
  ``.before`` lies inside the transaction, ``.after`` behind its commit;
- ``commit.before`` is the COMMIT of any transaction, ``commit.untold`` lies between a commit and its listeners;
- ``function.*`` lie in the user's code: in a child they kill the child, elsewhere the server. Only a first run dies.

``:n`` lets the point pass n - 1 times. Before the end one line goes to the side-effect log: where, who and when.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any

import asyncpg
from fastapi import HTTPException
from pydantic import BaseModel, field_serializer

import raincheck.storage
import raincheck.stores.postgres
from raincheck import OperationContext, Retry, WorkerDepends
from raincheck.core.operation import Operation
from raincheck.core.transitions import Change
from raincheck.ports import Claim, Lease, Renewal, Submitted
from raincheck.stores.postgres import PostgresStore
from raincheck.stores.sqlite import SqliteStore

POINT, _, COUNT = os.environ.get("CHAOS_CRASH", "").partition(":")
_passed = itertools.count(1)
_lock = threading.Lock()


def reach(point: str, *, run: int = 1) -> None:
    """Die here if this is the point and its time has come; later runs pass."""
    if point != POINT or run > 1:
        return
    with _lock:
        if next(_passed) == int(COUNT or 1):
            os.write(EFFECTS, f"- 0 0 crash:{point} {os.getpid()} {time.monotonic():.6f}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()  # the signal ends this process; nothing more may happen before it does


class CrashPoints:
    """The product's store between crash points; comes before it among the bases."""

    _listeners: list[Callable[[Sequence[Change]], None]]

    async def open(self) -> None:
        await super().open()
        self._listeners.insert(0, lambda _: reach("commit.untold"))

    async def submit(self, operation: Operation, **keywords: Any) -> Submitted:
        reach("submit.before")
        submitted = await super().submit(operation, **keywords)
        reach("submit.after")
        return submitted

    async def claim(self, claim: Claim) -> list[Operation]:
        if POINT == "claim.before" and await self.queue_depth(limit=1):
            reach("claim.before")
        claimed = await super().claim(claim)
        if claimed:
            reach("claim.after")
        return claimed

    async def renew(self, leases: Sequence[Lease], *, lease_until: Any) -> Renewal:
        reach("renew.before")
        renewal = await super().renew(leases, lease_until=lease_until)
        reach("renew.after")
        return renewal

    async def change(self, operation_id: str, transition: Callable[[Operation], Change | None]) -> Operation:
        names = []

        def seen(found: Operation) -> Change | None:
            change = transition(found)
            if change is not None and not change.empty:
                after = change.operation.status
                names.append("record" if after is found.status else after.value)
                reach(f"{names[-1]}.before")
            return change

        changed = await super().change(operation_id, seen)
        for name in names[-1:]:
            reach(f"{name}.after")
        return changed

    async def delete(self, operation_id: str, **keywords: Any) -> None:
        reach("delete.before")
        await super().delete(operation_id, **keywords)
        reach("delete.after")

    async def prune(self, now: Any, **keywords: Any) -> list[str]:
        reach("prune.before")
        gone = await super().prune(now, **keywords)
        if gone:
            reach("prune.after")
        return gone


class CrashingSqlite(CrashPoints, SqliteStore):
    async def open(self) -> None:
        await super().open()
        assert self._connection is not None
        self._connection.set_trace_callback(lambda sql: reach("commit.before") if sql == "COMMIT" else None)


class CrashingPostgres(CrashPoints, PostgresStore):
    pass


async def committing(connection: Any, text: str, *arguments: Any, **options: Any) -> Any:
    """Stand in for the driver's ``execute``, which sends each COMMIT."""
    if text == "COMMIT":
        reach("commit.before")
    return await _execute(connection, text, *arguments, **options)


_execute, asyncpg.Connection.execute = asyncpg.Connection.execute, committing
raincheck.storage.SqliteStore = CrashingSqlite  # type: ignore[misc]
raincheck.stores.postgres.PostgresStore = CrashingPostgres  # type: ignore[misc]

from tests.chaos.application import EFFECTS, MANY_LOSSES, Order, app, effect, rain, tell  # noqa: E402

__all__ = ["app"]


class Answer(BaseModel):
    """A result whose rendering is a crash point."""

    run_and_steps: tuple[int, int]

    @field_serializer("run_and_steps")
    def rendering(self, value: tuple[int, int]) -> tuple[int, int]:
        """Render, if this process is still there."""
        reach("function.render", run=value[0])
        return value


async def resource(op: OperationContext) -> AsyncIterator[None]:
    """Something to clean up."""
    yield
    reach("function.cleanup", run=op.run)


def work(order: Order, op: OperationContext) -> Answer:
    """Work in steps, with points at the begin, after each step and at the end."""
    effect(op, "begin")
    reach("function.begin", run=op.run)
    for step in range(order.steps):
        time.sleep(order.pause)
        tell(op, order, step)
        reach("function.step", run=op.run)
    effect(op, "end")
    reach("function.end", run=op.run)
    return Answer(run_and_steps=(op.run, order.steps))


@rain.post("/crash-async", kind="crash-async", max_losses=MANY_LOSSES)
async def crash_async(order: Order, op: OperationContext, _: Annotated[None, WorkerDepends(resource)]) -> Answer:
    """Work in the event loop, which the short pauses may block."""
    return work(order, op)


@rain.post("/crash-thread", kind="crash-thread", max_losses=MANY_LOSSES)
def crash_thread(order: Order, op: OperationContext, _: Annotated[None, WorkerDepends(resource)]) -> Answer:
    """Work in a thread."""
    return work(order, op)


@rain.post("/crash-process", kind="crash-process", executor="process", max_losses=MANY_LOSSES)
def crash_process(order: Order, op: OperationContext, _: Annotated[None, WorkerDepends(resource)]) -> Answer:
    """Work in a child."""
    return work(order, op)


@rain.post("/flaky", kind="flaky", retry=Retry(attempts=2, backoff=0.01), max_losses=MANY_LOSSES)
async def flaky(op: OperationContext) -> int:
    """Fail in the first attempt."""
    effect(op, "begin")
    if op.attempt == 1:
        raise ConnectionError("the first attempt fails")
    effect(op, "end")
    return op.attempt


@rain.post("/doomed", kind="doomed", max_losses=MANY_LOSSES)
async def doomed(op: OperationContext) -> None:
    """Fail on purpose."""
    effect(op, "begin")
    raise HTTPException(409, "never")
