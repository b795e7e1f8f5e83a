"""How fast each engine brings queued no-ops to workers, and how soon one operation starts on an idle worker.

Each engine gets an empty store. A process that runs no work accepts all operations; then workers start, each a process
of `raincheck worker`. The rate counts from the first start to the last end. One machine; every commit is synced.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raincheck import Raincheck
    from raincheck.core.operation import Operation

OPERATIONS = 3000
SINGLE = 40
PATIENCE = 90.0
ENGINES = ("embedded-sqlite", "embedded", "pgqueuer", "procrastinate", "taskiq-redis", "taskiq-nats", "taskiq-rabbitmq")
WORKERS = (1, 2)


@contextlib.contextmanager
def servers(names: list[str]) -> Iterator[dict[str, str]]:
    """Run what the engines need and yield the URLs."""
    from tests.engines.brokers import BROKERS  # noqa: PLC0415 - servers of the tests
    from tests.postgres.server import PostgresServer  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(contextlib.closing(PostgresServer(durable=True)))
        urls = {"postgres": postgres.url()}
        for name, made in BROKERS.items():
            if name in names and not made.missing():
                urls[name] = stack.enter_context(contextlib.closing(made())).url
        yield urls


def environment(name: str, urls: dict[str, str], folder: str, number: int) -> dict[str, str]:
    """Return the settings of one measurement: an engine with a store that is its own."""
    schema = f"bench_{name.replace('-', '_')}_{number}"
    chosen = {"RAINCHECK_STORE": f"{urls['postgres']}?schema={schema}", "RAINCHECK_ENGINE": name.partition("-")[0]}
    if name == "embedded-sqlite":
        chosen["RAINCHECK_STORE"] = f"sqlite:///{folder}/{schema}.db"
    if name in urls:
        chosen |= {"RAINCHECK_BROKER": urls[name], "RAINCHECK_BROKER_PREFIX": schema}
    return chosen


async def submit(rain: Raincheck, number: int, *, at_once: int = 200) -> list[str]:
    """Accept operations without HTTP."""
    from raincheck.roles.service import Submission  # noqa: PLC0415

    service = rain._gateway.parts().service  # noqa: SLF001 - measured without HTTP
    turn = asyncio.Semaphore(at_once)

    async def one() -> str:
        async with turn:
            wanted = Submission(id=service.new_id(), kind=rain.kinds["noop"], owner="", input='{"v":1}')
            return (await service.submit(wanted)).operation.id

    return list(await asyncio.gather(*(one() for _ in range(number))))


async def finished(rain: Raincheck, ids: list[str]) -> list[Operation]:
    """Wait until all are done, and return them."""
    service = rain._gateway.parts().service  # noqa: SLF001
    return [await service.wait(each, owner=None, seconds=PATIENCE) for each in ids]


@contextlib.contextmanager
def workers(count: int) -> Iterator[None]:
    """Run worker processes, each on its own terms with the scheduler."""
    command = [sys.executable, "-c", "import raincheck.cli; raincheck.cli.main()", "worker", "benchmarks.apps:rain"]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)


async def measure_engine(count: int) -> tuple[float, float]:
    """Return no-ops a second, and the median of milliseconds from acceptance to start on idle workers."""
    apps = importlib.reload(importlib.import_module("benchmarks.apps"))
    rain: Raincheck = apps.rain
    async with rain.running(workers=False):
        ids = await submit(rain, OPERATIONS)
        with workers(count):
            done = await finished(rain, ids)
            took = max(each.finished_at for each in done) - min(each.started_at for each in done)
            waits = []
            for _ in range(SINGLE):
                await asyncio.sleep(0.05)
                [single] = await finished(rain, await submit(rain, 1))
                waits.append((single.started_at - single.created_at).total_seconds() * 1000)
    return OPERATIONS / took.total_seconds(), statistics.median(waits)


def measure() -> dict[str, float]:
    """Return the figures; BENCH_ENGINES=pgqueuer,… measures only some."""
    names = [name for name in os.environ.get("BENCH_ENGINES", ",".join(ENGINES)).split(",") if name]
    figures = {}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, servers(names) as urls:
        for count in WORKERS:
            for name in names:
                os.environ |= environment(name, urls, folder, count)
                rate, wait = asyncio.run(measure_engine(count))
                print(f"  {name}, {count} workers: {rate:,.0f} no-ops a second; one starts after {wait:.1f} ms")
                figures[f"engine_{name}_{count}_rate"] = round(rate)
                figures[f"engine_{name}_{count}_start_ms"] = round(wait, 1)
    return figures
