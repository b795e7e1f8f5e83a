"""How long a server with a crowd of readers takes to stop: the last reader's end, and the process's, after SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import statistics
import tempfile
import time
from pathlib import Path

from tests.servers.crowd import Crowd
from tests.servers.running import running

SERVERS = ("uvicorn", "uvicorn-two-workers", "uvicorn-reload", "fastapi-run", "granian")
ROUNDS = 4


def measure() -> dict[str, float]:
    """Return seconds, the median of the rounds, with 100 event streams, 20 WebSockets and 20 held polls each."""
    found: dict[str, float] = {}
    for server in SERVERS:
        ends, exits = zip(*(_stop(server) for _ in range(ROUNDS)), strict=True)
        name = server.replace("-", "_")
        found |= {f"{name}_readers_s": statistics.median(ends), f"{name}_exit_s": statistics.median(exits)}
        print(
            f"  {server}: last reader {statistics.median(ends):.2f} s, process {statistics.median(exits):.2f} s, "
            f"longest {max(exits):.2f} s"
        )
    return found


def _stop(server: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder, running(server, Path(folder)) as (process, client):
        location = client.post("/forever").headers["location"]
        port = client.base_url.port
        assert port is not None

        async def stop() -> tuple[float, float]:
            crowd = Crowd()
            await crowd.gather(port, location, streams=100, sockets=20, polls=20)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            exited = asyncio.create_task(asyncio.to_thread(process.wait, 60))
            await asyncio.gather(*crowd.tasks)
            await exited
            ended = time.monotonic()
            return max(moment for _, moment in crowd.ended) - began, ended - began

        return asyncio.run(stop())
