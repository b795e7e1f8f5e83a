"""Procrastinate on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from procrastinate import App, PsycopgConnector

from benchmarks.peers.work import POSTGRES, Accepted, Known, Order, linger, settle_dumped

queue = App(connector=PsycopgConnector(conninfo=POSTGRES))


@queue.task(name="settle")
async def settle_task(order: dict) -> None:
    settle_dumped(order)


@queue.task(name="linger")
async def linger_task(mark: str) -> None:
    await linger(mark)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with queue.open_async():
        if not await queue.check_connection_async():
            await queue.schema_manager.apply_schema_async()
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/submit", status_code=202)
async def submit(order: Order) -> Accepted:
    return Accepted(id=str(await settle_task.defer_async(order=order.model_dump(mode="json"))))


@app.post("/slow/{mark}", status_code=202)
async def slow(mark: str) -> Accepted:
    return Accepted(id=str(await linger_task.defer_async(mark=mark)))


@app.get("/status/{job}")
async def status(job: str) -> Known:
    found = await queue.job_manager.get_job_status_async(int(job))
    return Known(done=found.value == "succeeded")
