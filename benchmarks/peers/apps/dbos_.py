"""DBOS on PostgreSQL; workflows run in the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dbos import DBOS
from fastapi import FastAPI, HTTPException

from benchmarks.peers.work import POSTGRES, Accepted, Known, Order, linger, settle_dumped

DBOS(config={"name": "peers", "system_database_url": POSTGRES, "log_level": "WARNING", "application_version": "1"})


@DBOS.workflow(name="settle")
async def settle_task(order: dict) -> dict:
    return settle_dumped(order)


@DBOS.workflow(name="linger")
async def linger_task(mark: str) -> str:
    return await linger(mark)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    DBOS.launch()
    yield
    DBOS.destroy()


app = FastAPI(lifespan=lifespan)


@app.post("/submit", status_code=202)
async def submit(order: Order) -> Accepted:
    handle = await DBOS.start_workflow_async(settle_task, order.model_dump(mode="json"))
    return Accepted(id=handle.workflow_id)


@app.post("/slow/{mark}", status_code=202)
async def slow(mark: str) -> Accepted:
    handle = await DBOS.start_workflow_async(linger_task, mark)
    return Accepted(id=handle.workflow_id)


@app.get("/status/{job}")
async def status(job: str) -> Known:
    found = await DBOS.get_workflow_status_async(job)
    if found is None:
        raise HTTPException(404)
    return Known(done=found.status == "SUCCESS")
