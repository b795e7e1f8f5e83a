"""The application under fire: every executor, with side effects that are logged outside of Raincheck.

Each function appends lines to the file that ``CHAOS_EFFECTS`` names, so what really ran is known independently of what
the store says. With ``CHAOS_DEAF`` this process hears nothing of what others write: only latency may change. With
``CHAOS_POLL`` it looks into the store every so many seconds only: what is quick then came by a signal. With
``CHAOS_PATIENCE`` the engine is told again of what it has lost after so many seconds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta

from fastapi import FastAPI
from pydantic import BaseModel

from raincheck import OperationContext, Raincheck, Retry
from raincheck.roles import claimer, courier, tail
from raincheck.signals.postgres import PostgresSignals
from raincheck.stores.sqlite import SqliteStore
from tests.engines.celery_chosen import celery_chosen

MANY_LOSSES = 1000
# Opened once and early, so that the log works also where descriptors run out; children inherit it.
EFFECTS = os.open(os.environ.get("CHAOS_EFFECTS", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


class Order(BaseModel):
    """How long to work, and whether to tell of it; ``linger`` steps more in the first run."""

    steps: int = 3
    linger: int = 0
    pause: float = 0.1
    emit: bool = True
    progress: bool = False
    payload: str = ""


def steps_of(order: Order, op: OperationContext) -> range:
    """Return the steps of this run."""
    return range(order.steps + (order.linger if op.run == 1 else 0))


def effect(op: OperationContext, phase: str, *, pid: int | None = None) -> None:
    """Append one line in one write, so that lines of several processes never mix."""
    line = f"{op.id} {op.run} {op.attempt} {phase} {pid or os.getpid()} {time.monotonic():.6f}\n"
    os.write(EFFECTS, line.encode())


def tell(op: OperationContext, order: Order, step: int) -> None:
    """Leave a trace of one step in the event log and in the effects."""
    effect(op, f"step{step}")
    if order.emit:
        op.emit({"run": op.run, "step": step})
    if order.progress:
        op.progress(step + 1, order.steps)


async def deaf(_signals: object, _notice: object) -> None:
    """Stand in for the start of a store's signals: no notice ever comes."""


if os.environ.get("CHAOS_POLL"):
    for role in (claimer, courier, tail):
        role._POLL = float(os.environ["CHAOS_POLL"])  # type: ignore[attr-defined]
if os.environ.get("CHAOS_DEAF"):
    SqliteStore.start = deaf  # type: ignore[method-assign,assignment]
    PostgresSignals.start = deaf  # type: ignore[method-assign]

celery, engine = celery_chosen()
app = FastAPI()
rain = Raincheck(app, engine=engine)
if rain.engine is not None and os.environ.get("CHAOS_PATIENCE"):
    rain.engine.terms = replace(rain.engine.terms, patience=timedelta(seconds=float(os.environ["CHAOS_PATIENCE"])))


@app.get("/alive")
def alive() -> int:
    """Tell which process answers."""
    return os.getpid()


@rain.post("/async", kind="async", retry=Retry(attempts=3), max_losses=MANY_LOSSES)
async def in_the_loop(order: Order, op: OperationContext) -> int:
    """Work in the event loop."""
    effect(op, "begin")
    for step in steps_of(order, op):
        await asyncio.sleep(order.pause)
        tell(op, order, step)
    effect(op, "end")
    return op.run


@rain.post("/thread", kind="thread", retry=Retry(attempts=3), max_losses=MANY_LOSSES)
def in_a_thread(order: Order, op: OperationContext) -> int:
    """Work in a thread."""
    effect(op, "begin")
    for step in op.track(steps_of(order, op)) if order.progress else steps_of(order, op):
        time.sleep(order.pause)
        op.raise_if_cancelled()
        tell(op, order, step)
    effect(op, "end")
    return op.run


@rain.post("/process", kind="process", executor="process", retry=Retry(attempts=3), max_losses=MANY_LOSSES)
def in_a_process(order: Order, op: OperationContext) -> int:
    """Work in a child process."""
    effect(op, "begin")
    for step in steps_of(order, op):
        time.sleep(order.pause)
        tell(op, order, step)
    effect(op, "end")
    return op.run


@rain.post("/family", kind="family", executor="process", max_losses=MANY_LOSSES)
def with_a_grandchild(order: Order, op: OperationContext) -> int:
    """Start a process of its own and wait for it; the first run for ``linger`` seconds more."""
    seconds = order.pause + (order.linger if op.run == 1 else 0)
    helper = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"])
    effect(op, "begin")
    effect(op, "helper", pid=helper.pid)
    helper.wait()
    effect(op, "end")
    return op.run


@rain.post("/poison", kind="poison", executor="process")
def kills_itself(order: Order, op: OperationContext) -> None:
    """Kill the process group of the run, each time."""
    effect(op, "begin")
    os.killpg(0, signal.SIGKILL)


@rain.post("/endless", kind="endless", max_losses=MANY_LOSSES)
def never_ends(order: Order, op: OperationContext) -> None:
    """Occupy a thread and never look whether it should stop; a second run ends at once."""
    effect(op, "begin")
    while op.run == 1:
        time.sleep(0.05)


@rain.post("/timed", kind="timed", timeout=1.0, max_losses=MANY_LOSSES)
async def with_a_time_limit(order: Order, op: OperationContext) -> int:
    """Work in the event loop for a second at most."""
    effect(op, "begin")
    for _ in range(order.steps):
        await asyncio.sleep(order.pause)
    return order.steps


@rain.post("/brief", kind="brief", retention="24h")
async def soon_forgotten(op: OperationContext) -> None:
    """End at once; the record is kept for a day."""
    effect(op, "begin")


@rain.post("/retried", kind="retried", retry=Retry(attempts=2, backoff="3s"), max_losses=MANY_LOSSES)
async def fails_once(op: OperationContext) -> int:
    """Fail in the first attempt and wait three seconds for the second."""
    effect(op, "begin")
    if op.attempt == 1:
        msg = "the first attempt fails"
        raise ConnectionError(msg)
    return op.attempt
