"""No-op operations a second with all semantics, and how soon a client knows that one has finished."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from benchmarks.load import generate, request_bytes
from benchmarks.server import pin, serving

if TYPE_CHECKING:
    from raincheck import Raincheck

OPERATIONS = 10_000
AT_ONCE = 64  # callers, who find a free slot each; a process has 100
CROWD = 256  # more of them, who wait in the queue
SECONDS = 4.0


def in_a_process(settings: dict[str, str], callers: int) -> float:
    """Return the rate in a process of its own, since an application reads the environment when it is imported."""
    os.environ.update(settings)
    from benchmarks.apps import rain  # noqa: PLC0415 - reads the settings

    return uvloop.run(in_process(rain, OPERATIONS, callers=callers))  # the loop that servers have


async def in_process(rain: Raincheck, number: int, *, callers: int) -> float:
    """Accept and run no-ops through the service of one process; return operations a second."""
    from raincheck.roles.service import Submission  # noqa: PLC0415 - after the settings are in the environment

    async with rain.running():
        parts = rain._gateway.parts()  # noqa: SLF001 - measured without HTTP
        service = parts.service
        kind = rain._registry.kinds["noop"]  # noqa: SLF001
        left = iter(range(number))

        async def caller() -> None:
            for _ in left:
                operation_id = service.new_id()
                parts.handover.give(operation_id, {})
                with service.watch(operation_id) as watcher:
                    submission = Submission(id=operation_id, kind=kind, owner="", input='{"v":1}')
                    accepted = await service.submit(submission)
                    operation = await service.wait_on(watcher, accepted.operation, seconds=60)
                    assert operation.status == "succeeded"

        began = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return number / (time.perf_counter() - began)


def measure(**settings: str) -> dict[str, float]:
    """Return the figures.

    :param settings: environment of the server, such as ``RAINCHECK_STORE``; a SQLite file without it.
    """
    rates = {}
    for callers in (AT_ONCE, CROWD):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            chosen = {"RAINCHECK_STORE": f"sqlite:///{folder}/bench.db", **settings}
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
                rates[callers] = processes.submit(in_a_process, chosen, callers).result()
        print(f"  in process, {callers} callers: {rates[callers]:,.0f} no-ops a second")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, serving(Path(folder), **settings) as port:
        pin(1)
        waiting = request_bytes("POST", "/noop", headers={"Prefer": "wait=10", "Content-Length": "0"})
        asyncio.run(generate(port, waiting, connections=64, seconds=1.0))
        many = asyncio.run(generate(port, waiting, connections=64, seconds=SECONDS))
        alone = asyncio.run(generate(port, waiting, connections=1, seconds=SECONDS))
        assert set(many.statuses) | set(alone.statuses) == {200}, (many.statuses, alone.statuses)
        p50, p99 = alone.median, alone.percentile(0.99)
        print(f"  over HTTP: {many.rate:,.0f} a second; alone p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    return {
        "noop_per_second_in_process": rates[AT_ONCE],
        "noop_per_second_in_process_queued": rates[CROWD],
        "noop_per_second_over_http": many.rate,
        "submit_to_known_p50_ms": p50,
        "submit_to_known_p99_ms": p99,
    }


def main() -> None:
    """Print the figures."""
    print(json.dumps(measure(), indent=2))
