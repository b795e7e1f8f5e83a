"""The application that real readers follow: output in every executor, held by signals, so no test waits for luck."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from raincheck import OperationContext, Raincheck

SIGNALS = Path(os.environ.get("READERS_SIGNALS", "."))
TICK = 0.02
HOSTILE = "one\r\ntwo\n\nid: 99\nevent: done\ndata: {}\n\n\u2028three\x00\x85é🌧"

app = FastAPI()
rain = Raincheck(app)


def given(name: str) -> bool:
    """Whether the test gave the signal."""
    return (SIGNALS / name).exists()


@rain.post("/stories/{name}")
async def story(name: str, op: OperationContext) -> dict[str, int]:
    """Tell a story; the first run never comes to its end."""
    for number in range(1, 14):
        op.emit({"run": op.run, "number": number, "text": HOSTILE})
        if number % 4 == 0:
            op.log(f"told {number} of it\r\nand more")
        await asyncio.sleep(TICK)
    await op.drain()
    (SIGNALS / f"{name}.told-{op.run}").touch()
    while not given(name):
        await asyncio.sleep(TICK)
    return {"run": op.run}


def told(name: str, chunks: int, per_second: int, op: OperationContext) -> dict[str, Any]:
    """Emit numbered chunks at a pace; wait for a signal halfway in the first run, if there is a name for one."""
    began = time.perf_counter()
    for number in range(chunks):
        op.emit({"run": op.run, "number": number})
        ahead = (number + 1) / per_second - (time.perf_counter() - began)
        if ahead > 0.005:
            time.sleep(ahead)
        if name != "-" and op.run == 1 and number == chunks // 2:
            (SIGNALS / f"{name}.halfway").touch()
            while not given(name):
                time.sleep(TICK)
    return {"run": op.run, "seconds": time.perf_counter() - began}


@rain.post("/emit/async/{name}", kind="emit-async")
async def emit_async(name: str, chunks: int, per_second: int, op: OperationContext) -> dict[str, Any]:
    """Do as ``told`` on the event loop, which others need too."""
    began = time.perf_counter()
    for number in range(chunks):
        op.emit({"run": op.run, "number": number})
        ahead = (number + 1) / per_second - (time.perf_counter() - began)
        if ahead > 0.005:
            await asyncio.sleep(ahead)
        if name != "-" and op.run == 1 and number == chunks // 2:
            (SIGNALS / f"{name}.halfway").touch()
            while not given(name):
                await asyncio.sleep(TICK)
    return {"run": op.run, "seconds": time.perf_counter() - began}


@rain.post("/emit/thread/{name}", kind="emit-thread")
def emit_thread(name: str, chunks: int, per_second: int, op: OperationContext) -> dict[str, Any]:
    """Emit in a thread."""
    return told(name, chunks, per_second, op)


@rain.post("/emit/process/{name}", kind="emit-process", executor="process")
def emit_process(name: str, chunks: int, per_second: int, op: OperationContext) -> dict[str, Any]:
    """Emit in a process."""
    return told(name, chunks, per_second, op)


def reported(times: int, op: OperationContext) -> dict[str, Any]:
    """Report progress as often as asked."""
    began = time.perf_counter()
    for number in range(times):
        op.progress(number + 1, times)
    return {"seconds": time.perf_counter() - began}


@rain.post("/progress/async", kind="progress-async")
async def progress_async(times: int, op: OperationContext) -> dict[str, Any]:
    """Report on the event loop, and let it breathe now and then."""
    began = time.perf_counter()
    for number in range(times):
        op.progress(number + 1, times)
        if number % 1000 == 0:
            await asyncio.sleep(0)
    return {"seconds": time.perf_counter() - began}


@rain.post("/progress/thread", kind="progress-thread")
def progress_thread(times: int, op: OperationContext) -> dict[str, Any]:
    """Report in a thread."""
    return reported(times, op)


@rain.post("/progress/process", kind="progress-process", executor="process")
def progress_process(times: int, op: OperationContext) -> dict[str, Any]:
    """Report in a process."""
    return reported(times, op)


@app.get("/page")
async def page() -> HTMLResponse:
    """Serve an empty page, whose scripts a test brings."""
    return HTMLResponse("<!doctype html><title>reader</title>")


@app.get("/ping")
async def ping() -> str:
    """Answer at once."""
    return "pong"
