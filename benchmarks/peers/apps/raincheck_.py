"""Raincheck. The environment says on which store and engine, and whether workers run inside the server."""

from __future__ import annotations

from fastapi import FastAPI

from benchmarks.peers.work import Order, Receipt, linger, settle
from raincheck import Raincheck

app = FastAPI()
rain = Raincheck(app)


@rain.post("/submit")
async def submit(order: Order) -> Receipt:
    return settle(order)


@rain.post("/slow/{mark}")
async def slow(mark: str) -> str:
    return await linger(mark)
