"""fastapi-jobs on SQLite, with its worker program."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi_jobs import Jobs, task

from benchmarks.peers.work import Accepted, Known, Order, linger, settle_dumped

app = FastAPI()
jobs = Jobs(app, database="sqlite:///jobs.db")


@task(timeout=10)
async def settle_task(order: dict) -> None:
    settle_dumped(order)


@task(timeout=10)
async def linger_task(mark: str) -> None:
    await linger(mark)


@app.post("/submit", status_code=202)
async def submit(order: Order) -> Accepted:
    job = await settle_task.enqueue(order.model_dump(mode="json"))
    return Accepted(id=str(job.id))


@app.post("/slow/{mark}", status_code=202)
async def slow(mark: str) -> Accepted:
    job = await linger_task.enqueue(mark)
    return Accepted(id=str(job.id))


@app.get("/status/{job}")
async def status(job: str) -> Known:
    found = await jobs.manager.get(job)
    return Known(done=found.status.value.lower() == "success")
