"""Celery with Redis as broker and result backend; publishing blocks, so the routes are plain functions."""

from __future__ import annotations

from celery import Celery
from fastapi import FastAPI

from benchmarks.peers.work import REDIS, Accepted, Known, Order, linger_blocking, settle_dumped

queue = Celery("peers", broker=REDIS, backend=REDIS)
settle_task = queue.task(settle_dumped, name="settle")
linger_task = queue.task(linger_blocking, name="linger")
app = FastAPI()


@app.post("/submit", status_code=202)
def submit(order: Order) -> Accepted:
    return Accepted(id=settle_task.delay(order.model_dump(mode="json")).id)


@app.post("/slow/{mark}", status_code=202)
def slow(mark: str) -> Accepted:
    return Accepted(id=linger_task.delay(mark).id)


@app.get("/status/{job}")
def status(job: str) -> Known:
    return Known(done=queue.AsyncResult(job).ready())
