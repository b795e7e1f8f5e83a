"""An application whose workers are Celery's; the processes of test_celery.py load it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import Celery
from fastapi import FastAPI

from raincheck import OperationContext, Raincheck, RetryLater
from raincheck.engines.celery import CeleryEngine

celery = Celery("shop", broker=os.environ.get("FLEET_BROKER", "memory://"))
celery.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
celery.conf.update(task_queue_max_priority=9)  # without it RabbitMQ's queues have no priorities

app = FastAPI()
rain = Raincheck(app, store=os.environ.get("RAINCHECK_STORE", "memory:"), engine=CeleryEngine(celery))


def note(op: OperationContext, what: str) -> None:
    """Leave a line that the test reads."""
    with Path(os.environ["FLEET_LOG"]).open("a", encoding="utf-8") as log:
        log.write(f"{op.id} {op.run} {what} {os.getpid()}\n")


@rain.post("/noop")
async def noop(x: int, op: OperationContext) -> int:
    note(op, "noop")
    return x


@rain.post("/late", priority=-3)
async def late(op: OperationContext) -> None:
    note(op, "late")


@rain.post("/urgent", priority=7)
async def urgent(op: OperationContext) -> None:
    note(op, "urgent")


@rain.post("/again")
def again(op: OperationContext) -> int:
    note(op, "again")
    if op.run == 1:
        raise RetryLater(after=0.1)
    return op.run


@rain.post("/long", max_losses=10)
def long(seconds: float, op: OperationContext) -> int:
    note(op, "began")
    for _ in op.track(range(int(seconds * 20))):
        time.sleep(0.05)
    note(op, "ended")
    return op.run
