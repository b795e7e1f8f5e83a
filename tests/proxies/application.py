"""An application behind proxies, whose streams ping so often that a test need not wait."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from raincheck import OperationContext, Raincheck
from raincheck.fastapi import streams

SIGNALS = Path(os.environ["READERS_SIGNALS"])
TICK = 0.02
streams.PING_EVERY = float(os.environ.get("PROXIES_PING_EVERY", "0.3"))

app = FastAPI()
rain = Raincheck(app)


@rain.post("/stories/{name}")
async def story(name: str, op: OperationContext) -> str:
    """Tell one thing, then nothing until the test says so."""
    op.emit("once upon a time")
    while not (SIGNALS / name).exists():
        await asyncio.sleep(TICK)
    return "the end"


@app.get("/page")
async def page() -> HTMLResponse:
    """Serve an empty page, whose scripts a test brings."""
    return HTMLResponse("<!doctype html><title>reader</title>")


@app.get("/ping")
async def ping() -> str:
    """Answer at once."""
    return "pong"
