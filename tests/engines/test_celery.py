"""Celery's own workers run operations of an application that has registered its engine with them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import kombu.pools
import pytest

from tests.engines.brokers import Broker, RabbitMq, Valkey
from tests.engines.conftest import DEEP

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
PATIENCE = 45.0


class CeleryFleet:
    """A store, a broker, and worker processes."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder = folder
        self.broker = broker
        self.log = folder / "log"
        self.log.touch()
        self.environment = {
            **os.environ,
            "FLEET_BROKER": broker.url,
            "FLEET_LOG": str(self.log),
            "RAINCHECK_STORE": f"sqlite:///{folder}/fleet.db",
            "RAINCHECK_LEASE": "3s",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }

    @contextlib.contextmanager
    def workers(self, *options: str) -> Iterator[subprocess.Popen]:
        """Run Celery's worker, as its operators do."""
        command = [sys.executable, "-m", "celery", "-A", "tests.engines.celery_fleet:celery", "worker", *options]
        with (self.folder / "celery").open("ab") as output:
            process = subprocess.Popen(
                command, env=self.environment, stdout=output, stderr=output, start_new_session=True
            )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise

    def lines(self) -> list[list[str]]:
        """Return what the functions have noted."""
        return [line.split() for line in self.log.read_text().splitlines()]

    def until(self, what: str) -> list[str]:
        """Wait for a line."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for line in self.lines():
                if line[2] == what:
                    return line
            time.sleep(0.05)
        raise AssertionError((self.folder / "celery").read_text()[-4000:])


@pytest.fixture(scope="module", params=[Valkey, RabbitMq])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Provide a broker of Celery's."""
    if request.param.missing():
        pytest.skip(request.param.missing())
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def celery_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker: Broker) -> CeleryFleet:
    """Provide a fleet of its own."""
    broker.flush()
    fleet = CeleryFleet(tmp_path, broker)
    for name in ("FLEET_BROKER", "FLEET_LOG", "RAINCHECK_STORE", "RAINCHECK_LEASE"):
        monkeypatch.setenv(name, fleet.environment[name])
    return fleet


@contextlib.asynccontextmanager
async def web():
    """Run the application as a server would, in this process."""
    import httpx2

    kombu.pools.reset()  # a fresh process has no connection, and so believes in no queue that a flush has deleted
    sys.modules.pop("tests.engines.celery_fleet", None)
    celery_fleet = importlib.import_module("tests.engines.celery_fleet")  # with the settings of this test
    assert celery_fleet.rain.settings.workers
    async with celery_fleet.rain.running(celery_fleet.app):
        transport = httpx2.ASGITransport(app=celery_fleet.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://fleet") as client:
            yield client


async def submitted(client, path: str) -> str:
    """Return the id of a new operation."""
    answer = await client.post(path)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def done(client, operation_id: str, fleet: CeleryFleet) -> None:
    """Wait for success."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = (await client.get(f"/operations/{operation_id}")).json()
        if found["status"] == "succeeded":
            return
        assert not found["done"], found
        await asyncio.sleep(0.05)
    raise AssertionError((fleet.folder / "celery").read_text()[-4000:])


async def test_celerys_workers_run_operations(celery_fleet: CeleryFleet) -> None:
    """What was accepted before they came and after, in their processes; each once, retries through the broker."""
    async with web() as client:
        early = [await submitted(client, f"/noop?x={number}") for number in range(3)]
        with celery_fleet.workers("-c", "2", "-l", "WARNING"):
            late = [await submitted(client, f"/noop?x={number}") for number in range(3)]
            retried = await submitted(client, "/again")
            for each in (*early, *late, retried):
                await done(client, each, celery_fleet)
    lines = celery_fleet.lines()
    assert sorted(line[0] for line in lines if line[2] == "noop") == sorted([*early, *late])
    assert [line[1] for line in lines if line[0] == retried] == ["1", "2"]
    assert str(os.getpid()) not in {line[3] for line in lines}


async def test_the_best_priority_goes_first(celery_fleet: CeleryFleet) -> None:
    """At the broker, where operations wait for a worker."""
    async with web() as client:
        waiting = [await submitted(client, path) for path in ("/late", "/noop?x=1", "/late", "/urgent")]
        with celery_fleet.workers("-c", "1", "--prefetch-multiplier", "1", "-l", "WARNING"):
            for each in waiting:
                await done(client, each, celery_fleet)
    assert [line[2] for line in celery_fleet.lines()] == ["urgent", "noop", "late", "late"]


@pytest.mark.skipif(not DEEP, reason="half a minute: `make chaos` runs it")
async def test_a_flushed_broker_and_a_killed_child_cost_time_but_no_work(celery_fleet: CeleryFleet) -> None:
    """The messages are sent again, and the lease of the dead process is taken over."""
    async with web() as client:
        lost = [await submitted(client, "/long?seconds=1") for _ in range(2)]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(celery_fleet.broker.flush)
        with celery_fleet.workers("-c", "2", "-l", "WARNING"):
            began = await asyncio.to_thread(celery_fleet.until, "began")
            os.kill(int(began[3]), signal.SIGKILL)
            for each in lost:
                await done(client, each, celery_fleet)
    ended = [line[0] for line in celery_fleet.lines() if line[2] == "ended"]
    assert sorted(ended) == sorted(lost)


async def test_a_worker_of_threads_takes_over_before_its_first_task(celery_fleet: CeleryFleet) -> None:
    """Nothing else may come for hours: what a killed worker ran is run again all the same."""
    threads = ("-P", "threads", "-c", "2", "-l", "WARNING")
    async with web() as client:
        with celery_fleet.workers(*threads) as killed:
            interrupted = await submitted(client, "/long?seconds=1")
            await asyncio.to_thread(celery_fleet.until, "began")
            killed.kill()
            killed.wait(PATIENCE)
        with celery_fleet.workers(*threads):
            await done(client, interrupted, celery_fleet)
    assert [line[1] for line in celery_fleet.lines() if line[2] == "began"] == ["1", "2"]
