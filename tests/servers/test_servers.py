"""The servers that run FastAPI applications run a Raincheck application unchanged, and stop on time."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import httpx2
import pytest

from tests.servers.running import EXIT_BOUND, SERVERS, running


@pytest.mark.parametrize("server", SERVERS)
def test_it_serves_operations_and_a_waiting_poll_does_not_hold_its_exit(server: str, tmp_path: Path) -> None:
    """A submit is answered, a held poll is answered early at SIGTERM, and the process ends."""
    with running(server, tmp_path) as (process, client):
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
