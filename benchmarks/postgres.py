"""The figures of the PostgreSQL store: accept against a bare endpoint, no-ops, and four workers against one.

The server of the database shares the core of the load generator, as it would have a machine of its own.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import accept, runs
from benchmarks.load import generate, request_bytes
from benchmarks.peers.services import postgres
from benchmarks.server import pin, serving, working

WAITS = 2000
"""Operations that only wait, for the comparison of workers; each takes a tenth of a second and one of 25 slots."""
SLOTS = 25
ROUNDS = 3


def measure() -> dict[str, float]:
    """Return the figures, named after the store."""
    cores = os.sched_getaffinity(0)
    pin(1)
    with postgres() as url:
        os.sched_setaffinity(0, cores)
        figures = accept.measure(RAINCHECK_STORE=f"{url}?schema=accepts")
        os.sched_setaffinity(0, cores)
        figures |= runs.measure(RAINCHECK_STORE=f"{url}?schema=runs")
        os.sched_setaffinity(0, cores)
        figures |= workers(url)
    return {f"postgres_{name}": value for name, value in figures.items()}


def workers(url: str) -> dict[str, float]:
    """Return how much faster four worker programs drain operations that wait for something, than one."""
    rates: dict[int, list[float]] = {1: [], 4: []}
    for number in range(ROUNDS):
        for count, found in rates.items():
            found.append(drained(f"{url}?schema=workers_{count}_{number}", count))
            print(f"  {count} worker(s): {found[-1]:,.0f} operations a second", flush=True)
    one, four = statistics.median(rates[1]), statistics.median(rates[4])
    return {"one_worker_per_second": one, "four_workers_per_second": four, "four_workers_ratio": four / one}


def drained(store: str, count: int) -> float:
    """Queue operations, start workers, and return how many end in a second once all workers are at work."""
    settings = {"RAINCHECK_STORE": store, "RAINCHECK_WORKERS": "false", "RAINCHECK_ASYNC_SLOTS": str(SLOTS)}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, serving(Path(folder), pinned=False, **settings) as port:
        enqueue(port, WAITS)
        with working(Path(folder), count, **settings):
            return asyncio.run(rate_of_ends(store))


def enqueue(port: int, number: int) -> None:
    """Accept so many operations that wait for a tenth of a second."""
    request = request_bytes("POST", "/waits?seconds=0.1", headers={"Content-Length": "0"})
    accepted = 0
    while accepted < number:
        load = asyncio.run(generate(port, request, connections=32, seconds=0.5))
        assert set(load.statuses) == {202}, load.statuses
        accepted += len(load.latencies)


async def rate_of_ends(store: str) -> float:
    """Count what has ended while there is work for everybody: from a tenth of it to most of it."""
    import asyncpg  # noqa: PLC0415 - of an extra

    url, _, schema = store.partition("?schema=")
    connection = await asyncpg.connect(url)
    try:

        async def ended(number: int) -> int:
            """Wait until so many have ended, and return how many have."""
            while True:
                found = await connection.fetchval(f"SELECT count(*) FROM {schema}.operations WHERE finished_at > 0")
                if found >= number:
                    return int(found)
                await asyncio.sleep(0.02)

        first, began = await ended(WAITS // 10), time.perf_counter()
        last = await ended(WAITS * 9 // 10)
        return (last - first) / (time.perf_counter() - began)
    finally:
        await connection.close()
