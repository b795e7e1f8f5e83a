"""How long an ordinary request takes while CPU-bound operations run, in turns with an idle server."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import urllib.request
from pathlib import Path

from benchmarks.load import generate, request_bytes
from benchmarks.server import serving

TURNS = 3
SECONDS = 3.0


def measure() -> dict[str, float]:
    """Return p99 of /ping in milliseconds: idle, and with 2 and 4 busy operations in processes and in threads."""
    request = request_bytes("GET", "/ping")
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        variables = {"RAINCHECK_PROCESS_SLOTS": "4", "RAINCHECK_THREAD_SLOTS": "4"}
        with serving(Path(folder), pinned=False, **variables) as port:
            for _ in range(TURNS):
                for executor, busy in (("idle", 0), ("process", 2), ("process", 4), ("thread", 2), ("thread", 4)):
                    name = f"ping_p99_ms_{executor}" + (f"_{busy}" if busy else "")
                    operations = [_burn(port, executor) for _ in range(busy)]
                    load = asyncio.run(_paced(port, request))
                    for location in operations:
                        _post(port, f"{location}/cancel")
                    found.setdefault(name, []).append(load)
                    asyncio.run(asyncio.sleep(1.0))
    for name, values in found.items():
        print(f"  {name}: {statistics.median(values):.1f}")
    return {name: statistics.median(values) for name, values in found.items()}


async def _paced(port: int, request: bytes) -> float:
    """Send one request after the other and return the 99th percentile in milliseconds."""
    return (await generate(port, request, connections=1, seconds=SECONDS, pause=0.005)).percentile(0.99)


def _burn(port: int, executor: str) -> str:
    answer = _post(port, f"/burn-{executor}?seconds=60")
    location = answer.headers["Location"]
    assert location is not None
    return str(location)


def _post(port: int, path: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
    return urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", method="POST"))
