"""A server that stops ends all that wait for news, and does not wait for them."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.servers.crowd import Crowd
from tests.servers.running import EXIT_BOUND, running

# fastapi dev is uvicorn --reload, and hypercorn has a test of its own below.
SERVERS = ["uvicorn", "uvicorn-two-workers", "uvicorn-reload", "fastapi-run", "granian"]


async def until_all_ended(crowd: Crowd, process: object) -> None:
    """Stop the server and wait for the readers; a reader that hangs fails the test."""
    process.send_signal(signal.SIGTERM)  # type: ignore[attr-defined]
    async with asyncio.timeout(EXIT_BOUND):
        await asyncio.gather(*crowd.tasks)


async def gathered(location: str, port: int, *, streams: int, sockets: int, polls: int) -> Crowd:
    """Connect a crowd."""
    crowd = Crowd()
    async with asyncio.timeout(60):
        await crowd.gather(port, location, streams=streams, sockets=sockets, polls=polls)
    return crowd


@pytest.mark.anyio
@pytest.mark.parametrize(
    "server", [each if each == "uvicorn" else pytest.param(each, marks=pytest.mark.long) for each in SERVERS]
)
async def test_a_crowd_of_readers_does_not_hold_the_exit(server: str, tmp_path: Path) -> None:
    """A hundred streams, twenty sockets and twenty held polls end at SIGTERM with the server; sockets get 1012."""
    with running(server, tmp_path) as (process, client):
        location = client.post("/forever").headers["location"]
        crowd = await gathered(location, client.base_url.port, streams=100, sockets=20, polls=20)
        await until_all_ended(crowd, process)
        await asyncio.to_thread(process.wait, EXIT_BOUND)
        assert len(crowd.ended) == 140
        # A reloader and granian may end a worker before the last close frame has gone.
        assert set(crowd.codes) <= {1012, 1006}
        assert server in {"uvicorn-reload", "granian"} or set(crowd.codes) == {1012}


@pytest.mark.anyio
async def test_four_hundred_streams_do_not_hold_the_exit(tmp_path: Path) -> None:
    """The time to end does not grow into a grace period with the number of readers."""
    with running("uvicorn", tmp_path) as (process, client):
        location = client.post("/forever").headers["location"]
        crowd = await gathered(location, client.base_url.port, streams=400, sockets=0, polls=0)
        await until_all_ended(crowd, process)
        await asyncio.to_thread(process.wait, EXIT_BOUND)
        assert len(crowd.ended) == 400


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="hypercorn waits for each connection there, before its grace begins"
)
@pytest.mark.anyio
async def test_hypercorn_ends_a_crowd_after_its_own_grace(tmp_path: Path) -> None:
    """It waits for connections first, as long as --graceful-timeout says, and cuts them then."""
    with running("hypercorn", tmp_path) as (process, client):
        location = client.post("/forever").headers["location"]
        crowd = await gathered(location, client.base_url.port, streams=20, sockets=5, polls=0)
        await until_all_ended(crowd, process)
        await asyncio.to_thread(process.wait, EXIT_BOUND)
        assert len(crowd.ended) == 25


@pytest.mark.anyio
async def test_a_reader_that_reads_nothing_does_not_hold_the_exit(tmp_path: Path) -> None:
    """Its buffers are full, so the last chunk would wait for it; the drain hangs up instead."""
    with running("uvicorn", tmp_path) as (process, client):
        location = client.post("/loud").headers["location"]
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port, limit=1024)
        writer.write(f"GET {location}/events?after=0 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"event: output")
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        assert client.get(f"{location}?wait=60").json()["status"] == "succeeded"
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, EXIT_BOUND)
        writer.close()
