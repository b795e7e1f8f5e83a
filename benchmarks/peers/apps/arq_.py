"""arq on Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arq import create_pool
from arq.connections import RedisSettings
from arq.jobs import Job, JobStatus
from fastapi import FastAPI

from benchmarks.peers.work import REDIS, Accepted, Known, Order, linger, settle_dumped

SETTINGS = RedisSettings.from_dsn(REDIS)


async def settle_task(context: dict, order: dict) -> dict:
    return settle_dumped(order)


async def linger_task(context: dict, mark: str) -> str:
    return await linger(mark)


class Worker:
    functions = (settle_task, linger_task)
    redis_settings = SETTINGS
    max_jobs = 100


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.pool = await create_pool(SETTINGS)
    yield
    await app.state.pool.aclose()


app = FastAPI(lifespan=lifespan)


@app.post("/submit", status_code=202)
async def submit(order: Order) -> Accepted:
    job = await app.state.pool.enqueue_job("settle_task", order.model_dump(mode="json"))
    return Accepted(id=job.job_id)


@app.post("/slow/{mark}", status_code=202)
async def slow(mark: str) -> Accepted:
    job = await app.state.pool.enqueue_job("linger_task", mark)
    return Accepted(id=job.job_id)


@app.get("/status/{job}")
async def status(job: str) -> Known:
    return Known(done=await Job(job, app.state.pool).status() is JobStatus.complete)
