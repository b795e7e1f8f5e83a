"""Taskiq with the Redis stream broker, which acknowledges after the work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks.peers.work import REDIS, Accepted, Known, Order, linger, settle_dumped

broker = RedisStreamBroker(REDIS).with_result_backend(RedisAsyncResultBackend(REDIS))


@broker.task(task_name="settle")
async def settle_task(order: dict) -> dict:
    return settle_dumped(order)


@broker.task(task_name="linger")
async def linger_task(mark: str) -> str:
    return await linger(mark)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    if not broker.is_worker_process:
        await broker.startup()
    yield
    if not broker.is_worker_process:
        await broker.shutdown()


app = FastAPI(lifespan=lifespan)


@app.post("/submit", status_code=202)
async def submit(order: Order) -> Accepted:
    task = await settle_task.kiq(order.model_dump(mode="json"))
    return Accepted(id=task.task_id)


@app.post("/slow/{mark}", status_code=202)
async def slow(mark: str) -> Accepted:
    task = await linger_task.kiq(mark)
    return Accepted(id=task.task_id)


@app.get("/status/{job}")
async def status(job: str) -> Known:
    return Known(done=await broker.result_backend.is_result_ready(job))
