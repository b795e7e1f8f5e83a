"""fastapi-taskflow on SQLite, told to queue again what a restart interrupted."""

from __future__ import annotations

from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi_taskflow import TaskAdmin, TaskManager

from benchmarks.peers.work import Accepted, Known, Order, linger, settle_dumped

manager = TaskManager(snapshot_db="tasks.db", requeue_pending=True)
app = FastAPI()
TaskAdmin(app, manager, auto_install=True)


@manager.task(requeue_on_interrupt=True)
async def settle_task(order: dict) -> None:
    settle_dumped(order)


@manager.task(requeue_on_interrupt=True)
async def linger_task(mark: str) -> None:
    await linger(mark)


@app.post("/submit", status_code=202)
async def submit(order: Order, tasks: BackgroundTasks) -> Accepted:
    return Accepted(id=str(tasks.add_task(settle_task, order.model_dump(mode="json"))))


@app.post("/slow/{mark}", status_code=202)
async def slow(mark: str, tasks: BackgroundTasks) -> Accepted:
    return Accepted(id=str(tasks.add_task(linger_task, mark)))


@app.get("/status/{job}")
async def status(job: str) -> Known:
    found = manager.store.get(job)
    if found is None:
        raise HTTPException(404)
    return Known(done=getattr(found.status, "value", found.status).lower() == "success")
