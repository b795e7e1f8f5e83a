"""The servers that run FastAPI applications run a Raincheck application unchanged, and stop on time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest

APPLICATION = """
import asyncio
from fastapi import FastAPI
from raincheck import Raincheck

app = FastAPI()
rain = Raincheck(app)

@rain.post("/double")
def double(number: int) -> int:
    return 2 * number

@rain.post("/forever")
async def forever() -> None:
    await asyncio.Event().wait()
"""
BIN = Path(sys.executable).parent
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


def until_it_serves(client: httpx2.Client, process: subprocess.Popen[bytes]) -> None:
    """Wait for the first answer."""
    for _ in range(400):
        assert process.poll() is None, "the server ended at start"
        try:
            client.get("/openapi.json")
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the server did not start")


@pytest.mark.parametrize("server", SERVERS)
def test_it_serves_operations_and_a_waiting_poll_does_not_hold_its_exit(server: str, tmp_path: Path) -> None:
    """A submit is answered, a held poll is answered early at SIGTERM, and the process ends."""
    (tmp_path / "app.py").write_text(APPLICATION)
    port = free_port()
    command = [str(part).format(port=port) for part in SERVERS[server]]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "RAINCHECK_DRAIN": "0.2"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=90) as client:
            until_it_serves(client, process)
            answer = client.post("/double?number=21", headers={"Prefer": "wait=20"})
            assert (answer.status_code, answer.json()) == (200, 42)
            location = client.post("/forever").headers["location"]
            assert client.get(f"{location}?wait=20&after=1").json()["status"] == "running"
            held: list[httpx2.Response] = []
            # On Python 3.12 and newer hypercorn waits for connections before it tells its application anything.
            seconds = 5 if server == "hypercorn" else 60
            poll = threading.Thread(
                target=lambda: held.append(httpx2.get(f"{client.base_url}{location}?wait={seconds}", timeout=90))
            )
            poll.start()
            assert client.get(location).json()["status"] == "running"  # the held poll was sent before this one
            time.sleep(0.3)  # and has reached the server, which nothing tells from outside
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.wait(EXIT_BOUND)
            assert time.monotonic() - began < EXIT_BOUND
            poll.join(EXIT_BOUND)
            if server not in {"hypercorn", "uvicorn-reload", "fastapi-dev"}:  # these cut connections themselves
                assert [response.status_code for response in held] == [200]
    except BaseException:
        print((tmp_path / "log").read_text(errors="replace"))  # noqa: T201 - what the server said
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
