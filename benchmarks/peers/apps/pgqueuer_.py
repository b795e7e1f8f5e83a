"""PgQueuer on PostgreSQL: a pool enqueues in the handlers, `pgq run` works on a connection of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, HTTPException
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.peers.work import POSTGRES, Accepted, Known, Order, linger, settle


@asynccontextmanager
async def worker() -> AsyncIterator[PgQueuer]:
    """Yield what `pgq run` runs."""
    connection = await asyncpg.connect(POSTGRES)
    pgq = PgQueuer.from_asyncpg_connection(connection)

    @pgq.entrypoint("settle")
    async def settle_task(job: Job) -> None:
        settle(Order.model_validate_json(job.payload or b""))

    @pgq.entrypoint("linger")
    async def linger_task(job: Job) -> None:
        await linger((job.payload or b"").decode())

    yield pgq
    await connection.close()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(POSTGRES) as pool:
        app.state.queries = Queries(AsyncpgPoolDriver(pool))
        if not await app.state.queries.schema_is_installed():
            await app.state.queries.install()
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/submit", status_code=202)
async def submit(order: Order) -> Accepted:
    [job] = await app.state.queries.enqueue("settle", order.model_dump_json().encode())
    return Accepted(id=str(job))


@app.post("/slow/{mark}", status_code=202)
async def slow(mark: str) -> Accepted:
    [job] = await app.state.queries.enqueue("linger", mark.encode())
    return Accepted(id=str(job))


@app.get("/status/{job}")
async def status(job: int) -> Known:
    found = dict(await app.state.queries.job_status([job]))
    if job not in found:
        raise HTTPException(404)
    return Known(done=found[job] == "successful")
