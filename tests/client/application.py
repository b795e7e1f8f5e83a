"""The application that the client's tests submit to; held by signals, so that no test waits for luck."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException, Response, UploadFile
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from raincheck import OperationContext, OperationFailed, Raincheck, RetryLater

SIGNALS = Path(os.environ.get("READERS_SIGNALS", "."))
TICK = 0.02

app = FastAPI()


def caller(x_caller: Annotated[str, Header()] = "anybody") -> str:
    """Say whose operation it is."""
    return x_caller


rain = Raincheck(app, owner=caller)


class Order(BaseModel):
    """What is asked for."""

    pages: int


class Report(BaseModel):
    """What is returned."""

    pages: int
    title: str


async def given(name: str) -> None:
    """Wait for a signal."""
    while not (SIGNALS / name).exists():
        await asyncio.sleep(TICK)


@rain.post("/reports")
async def build_report(order: Order, op: OperationContext) -> Report:
    """Build a report, page by page."""
    for page in range(order.pages):
        op.progress(page + 1, order.pages, unit="pages")
        op.emit({"page": page + 1})
        op.log(f"page {page + 1}")
    return Report(pages=order.pages, title="é🌧\u2028")


@rain.post("/held/{name}")
async def held(name: str, op: OperationContext) -> str:
    """Emit, tell, wait for a signal, and emit again."""
    for number in range(12):
        op.emit(number)
    await op.drain()
    op.progress(1, 2, message="half")
    (SIGNALS / f"{name}.begun-{op.run}").touch()
    await given(name)
    for number in range(12, 24):
        op.emit(number)
    return name


@rain.post("/again/{name}")
async def again(name: str, op: OperationContext) -> int:
    """Emit, and run a second time."""
    op.emit(f"{name} {op.run}")
    if op.run == 1:
        raise RetryLater(after=0)
    return op.run


@rain.post("/large")
async def large() -> list[int]:
    """Return more JSON than a resource carries."""
    return list(range(20_000))


@rain.post("/text", response_class=PlainTextResponse)
async def text(size: int) -> Response:
    """Return what is no JSON."""
    return PlainTextResponse("é" * size)


@rain.post("/nothing")
async def nothing() -> None:
    """Return None."""


@rain.post("/lengths")
async def lengths(file: UploadFile) -> int:
    """Return how long a file is."""
    return len(await file.read())


@rain.post("/fail/{manner}")
async def fail(manner: str) -> int:
    """Fail in one of three manners."""
    if manner == "purpose":
        raise OperationFailed(
            code="out-of-paper", title="No paper", status=409, detail="tray 2", extensions={"tray": 2}
        )
    if manner == "http":
        raise HTTPException(418, "short and stout")
    return 1 // 0


@app.get("/ping")
async def ping() -> str:
    """Answer at once."""
    return "pong"
