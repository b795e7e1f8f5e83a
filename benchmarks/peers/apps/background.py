"""BackgroundTasks and a dictionary, as FastAPI's tutorial leads to."""

from __future__ import annotations

import uuid

from fastapi import BackgroundTasks, FastAPI, HTTPException

from benchmarks.peers.work import Accepted, Known, Order, linger, settle

app = FastAPI()
jobs: dict[str, object] = {}


@app.post("/submit", status_code=202)
async def submit(order: Order, tasks: BackgroundTasks) -> Accepted:
    job = uuid.uuid4().hex
    jobs[job] = None

    async def work() -> None:
        jobs[job] = settle(order)

    tasks.add_task(work)
    return Accepted(id=job)


@app.post("/slow/{mark}", status_code=202)
async def slow(mark: str, tasks: BackgroundTasks) -> Accepted:
    job = uuid.uuid4().hex
    jobs[job] = None

    async def work() -> None:
        jobs[job] = await linger(mark)

    tasks.add_task(work)
    return Accepted(id=job)


@app.get("/status/{job}")
async def status(job: str) -> Known:
    if job not in jobs:
        raise HTTPException(404)
    return Known(done=jobs[job] is not None)
