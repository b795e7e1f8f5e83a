"""The applications that are measured: a bare endpoint and the same one as an operation."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from typing import Annotated

from fastapi import Depends, FastAPI, Header

from benchmarks import sketch
from benchmarks.orders import Order, Receipt, receipt
from raincheck import OperationContext, Raincheck

app = FastAPI()
rain = Raincheck(app)


# Routes are asked one after the other, so each comes once before and once after the other.
@app.post("/bare")
async def bare(order: Order) -> Receipt:
    """What FastAPI does alone: validate, answer, store nothing."""
    return receipt(order)


@rain.post("/accept")
async def accept(order: Order) -> Receipt:
    """The same as an operation."""
    return receipt(order)


async def customer(host: Annotated[str, Header()]) -> str:
    """Say who asks, as a dependency of most applications does."""
    return host


@app.post("/bare-dependency")
async def bare_dependency(order: Order, asking: Annotated[str, Depends(customer)]) -> Receipt:
    """The bare endpoint with a dependency."""
    del asking
    return receipt(order)


@rain.post("/accept-dependency")
async def accept_dependency(order: Order, asking: Annotated[str, Depends(customer)]) -> Receipt:
    """The same as an operation."""
    del asking
    return receipt(order)


app.include_router(sketch.router)
rain.post("/accept-before", kind="accept-before")(accept)
app.post("/bare-after")(bare)


@rain.post("/noop")
async def noop() -> None:
    """Nothing, with all semantics."""


@rain.post("/waits")
async def waits(seconds: float) -> None:
    """Wait for something elsewhere, as most operations do."""
    await asyncio.sleep(seconds)


def burn(seconds: float, op: OperationContext) -> str:
    """Hash until the time has passed."""
    digest = b"0" * 64
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(2000):
            digest = hashlib.sha256(digest).digest()
        op.raise_if_cancelled()
    return digest.hex()


@rain.post("/burn-thread", kind="burn-thread")
def burn_thread(seconds: float, op: OperationContext) -> str:
    """CPU-bound work in a thread."""
    return burn(seconds, op)


@rain.post("/burn-process", kind="burn-process", executor="process")
def burn_process(seconds: float, op: OperationContext) -> str:
    """CPU-bound work in a process."""
    return burn(seconds, op)


told = asyncio.Event()


@rain.post("/broadcasts")
async def broadcasts(op: OperationContext) -> None:
    """Emit a line whenever somebody asks for one, until cancelled."""
    while True:
        await told.wait()
        told.clear()
        op.emit("a line for all readers")


@app.post("/tell")
async def tell() -> None:
    """Ask for a line."""
    told.set()


@app.get("/process")
async def process() -> int:
    """Say which process serves."""
    return os.getpid()


@app.get("/ping")
async def ping() -> str:
    """An ordinary request that must stay quick."""
    return "pong"
