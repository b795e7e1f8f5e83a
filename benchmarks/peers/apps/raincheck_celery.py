"""Raincheck whose operations Celery's workers run, with Redis as Celery's broker."""

from __future__ import annotations

from celery import Celery
from fastapi import FastAPI

from benchmarks.peers.work import REDIS, Order, Receipt, linger, settle
from raincheck import Raincheck
from raincheck.engines.celery import CeleryEngine

queue = Celery("peers", broker=REDIS)
app = FastAPI()
rain = Raincheck(app, engine=CeleryEngine(queue))


@rain.post("/submit")
async def submit(order: Order) -> Receipt:
    return settle(order)


@rain.post("/slow/{mark}")
async def slow(mark: str) -> str:
    return await linger(mark)
