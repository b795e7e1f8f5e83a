"""What idle readers cost, how soon one event reaches all of them, and what keeping silent connections open costs."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, cast

import uvloop

from benchmarks.readers import Crowd, most_connections, socket_readers, stream_readers
from benchmarks.server import pin, serving

if TYPE_CHECKING:
    from collections.abc import Callable

TURNS = 5
IDLE = 31.0  # seconds: two pings of a stream
MEMORY_OF = 1_000


def measure() -> dict[str, float]:
    """Return KiB per idle reader, milliseconds to all readers, and the share of a core that silence costs."""
    most = most_connections()
    found: dict[str, float] = {}
    variables = {"UVICORN_TIMEOUT_KEEP_ALIVE": "600"}
    ways: list[tuple[str, Callable[[int, str], Crowd], str]] = [
        ("sse", stream_readers, "auto"),
        ("websocket", socket_readers, "auto"),
        ("websocket_wsproto", socket_readers, "wsproto"),
    ]
    for name, readers, engine in ways:
        with (
            tempfile.TemporaryDirectory(dir=Path.cwd()) as folder,
            serving(Path(folder), **variables, UVICORN_WS=engine) as port,
        ):
            pin(1)
            found |= {f"{name}_{key}": value for key, value in uvloop.run(_measured(port, readers, most)).items()}
        for key, value in found.items():
            if key.startswith(name):
                print(f"  {key}: {value:.1f}", flush=True)
    return found


async def _measured(port: int, readers: Callable[[int, str], Crowd], most: int) -> dict[str, float]:
    operation_id = await asyncio.to_thread(_post, port, "/broadcasts")
    process = await asyncio.to_thread(_get, port, "/process")
    tell_soon = _Teller(port)
    await tell_soon.connect()
    warm = readers(port, operation_id)  # what the first connections make once is no reader's
    await warm.grow(300)
    await warm.told(tell_soon)
    warm.close()
    await asyncio.sleep(1)
    before = _resident(process)
    crowd = readers(port, operation_id)
    await crowd.grow(MEMORY_OF)
    await asyncio.sleep(1)
    found = {"kib": (_resident(process) - before) / 1024 / MEMORY_OF}
    found["to_1000_ms"] = await _spread(crowd, tell_soon)
    if most > MEMORY_OF:
        await crowd.grow(most)
        await asyncio.sleep(1)
        found[f"kib_at_{most}"] = (_resident(process) - before) / 1024 / most
        found[f"to_{most}_ms"] = await _spread(crowd, tell_soon)
    used, began = _processor_seconds(process), time.perf_counter()
    await asyncio.sleep(IDLE)
    found["idle_percent_of_a_core"] = 100 * (_processor_seconds(process) - used) / (time.perf_counter() - began)
    assert crowd.lost == 0, f"{crowd.lost} readers were lost"
    crowd.close()
    tell_soon.stop()
    await asyncio.to_thread(_post, port, f"/operations/{operation_id}/cancel")
    return found


async def _spread(crowd: Crowd, tell: _Teller) -> float:
    """Return the median of some turns in milliseconds."""
    taken = []
    for _ in range(TURNS):
        taken.append(await crowd.told(tell))
        await asyncio.sleep(0.5)
    return 1000 * statistics.median(taken)


class _Teller(asyncio.Protocol):
    """Has the operation emit, over a connection that is open already."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport

    async def connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def __call__(self) -> None:
        self._transport.write(b"POST /tell HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")

    def stop(self) -> None:
        self._transport.close()


def _resident(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _post(port: int, path: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method="POST")
    with urllib.request.urlopen(request) as answer:
        return str(json.load(answer)["id"])


def _get(port: int, path: str) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        return int(json.load(answer))
