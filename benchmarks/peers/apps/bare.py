"""The upper bound: validates and answers, keeps nothing."""

from __future__ import annotations

from fastapi import FastAPI

from benchmarks.peers.work import Order, Receipt, receipt

app = FastAPI()


@app.post("/submit")
async def submit(order: Order) -> Receipt:
    return receipt(order)
