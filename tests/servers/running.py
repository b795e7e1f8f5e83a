"""The servers that people run FastAPI applications with, started as they start them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLICATION = """
import asyncio
from fastapi import FastAPI
from raincheck import OperationContext, Raincheck

app = FastAPI()
rain = Raincheck(app)

@rain.post("/double")
def double(number: int) -> int:
    return 2 * number

@rain.post("/forever")
async def forever() -> None:
    await asyncio.Event().wait()

@rain.post("/loud")
def loud(op: OperationContext) -> None:
    for _ in range(400):
        op.emit("x" * 20_000)
"""
BIN = Path(sys.executable).parent
STARTING = 90.0  # seconds; a loaded machine imports slowly
SERVERS = {
    "uvicorn": [BIN / "uvicorn", "app:app", "--port", "{port}"],
    "uvicorn-two-workers": [BIN / "uvicorn", "app:app", "--port", "{port}", "--workers", "2"],
    "uvicorn-reload": [BIN / "uvicorn", "app:app", "--port", "{port}", "--reload"],
    "fastapi-run": [BIN / "fastapi", "run", "app.py", "--port", "{port}"],
    "fastapi-dev": [BIN / "fastapi", "dev", "app.py", "--port", "{port}"],
    "granian": [BIN / "granian", "--interface", "asgi", "app:app", "--port", "{port}"],
    # It tells its workers nothing before its own grace has passed (three seconds by default).
    "hypercorn": [BIN / "hypercorn", "app:app", "--bind", "127.0.0.1:{port}", "--graceful-timeout", "1"],
}
EXIT_BOUND = 20.0


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(server: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], httpx2.Client]]:
    """Serve the application; give the process and a client. What the server said is shown if something fails."""
    (folder / "app.py").write_text(APPLICATION)
    port = free_port()
    command = [str(part).format(port=port) for part in SERVERS[server]]
    environment = {**os.environ, "PYTHONPATH": str(folder), "RAINCHECK_DRAIN": "0.2"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=90) as client:
            _until_it_serves(client, process)
            yield process, client
    except BaseException:
        print((folder / "log").read_text(errors="replace"))  # noqa: T201 - what the server said
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _until_it_serves(client: httpx2.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTING
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended at start"
        try:
            client.get("/openapi.json")
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server did not start")
