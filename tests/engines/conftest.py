"""A small fleet in one process: web servers that accept, workers that run, and an engine between them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from fastapi import FastAPI

from raincheck import OperationContext, Raincheck, Retry, RetryLater
from raincheck.core.dispatch_rules import Terms
from raincheck.engine_choice import chosen_engine
from raincheck.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from raincheck.ports_engines import Engine

PATIENCE = 20.0
BACKENDS = (
    *("postgresql+pgqueuer", "postgresql+procrastinate"),
    *("postgresql+taskiq-redis", "sqlite+taskiq-nats", "postgresql+taskiq-rabbitmq"),
)
SOME = ("postgresql+pgqueuer", "postgresql+taskiq-redis")
DEEP = bool(os.environ.get("CHAOS_DEEP"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests that say so with every engine, the others with one in the database and one beside it."""
    if "fleet" in metafunc.fixturenames:
        every = DEEP or metafunc.definition.get_closest_marker("every_engine") is not None
        metafunc.parametrize("fleet", BACKENDS if every else SOME, indirect=True)


@dataclass
class Fleet:
    """Applications that share a store and an engine.

    :param flush: makes the engine forget all its messages.
    """

    store: str
    make_engine: Callable[[], Engine]
    flush: Callable[[], None]
    runs: Counter[str] = field(default_factory=Counter)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def engine(self, patience: float = 1.0) -> Engine:
        """Return an engine that tells again after a short while."""
        made = self.make_engine()
        made.terms = Terms(delays=made.terms.delays, patience=timedelta(seconds=patience))
        return made

    def application(self, engine: Engine | str, *, workers: bool, **settings: Any) -> tuple[FastAPI, Raincheck]:
        """Return an application of the fleet."""
        app = FastAPI()
        chosen = {"store": self.store, "lease": timedelta(seconds=3), **settings}
        rain = Raincheck(app, engine=engine, workers=workers, settings=Settings(**chosen))

        @rain.post("/noop")
        async def noop(x: int, op: OperationContext) -> int:
            self.runs[op.id] += 1
            return x

        @rain.post("/again", retry=Retry(attempts=2, backoff=0.05, on=(ConnectionError,)))
        async def again(op: OperationContext) -> int:
            self.runs[op.id] += 1
            if op.run == 1:
                raise RetryLater(after=0.1)
            if op.run == 2:
                raise ConnectionError("once more")
            return op.run

        @rain.post("/waits")
        async def waits(op: OperationContext) -> int:
            self.runs[op.id] += 1
            await self.gate.wait()
            return op.run

        @rain.post("/threaded")
        def threaded(op: OperationContext) -> int:
            self.runs[op.id] += 1
            return op.run

        return app, rain

    @contextlib.asynccontextmanager
    async def web(self, engine: Engine | str | None = None, *, workers: bool = False) -> AsyncIterator[Client]:
        """Run a process that accepts, with a client of it."""
        app, rain = self.application(engine or self.engine(), workers=workers)
        async with rain.running(app):
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://fleet") as client:
                yield Client(client)

    @contextlib.asynccontextmanager
    async def worker(self, engine: Engine | None = None, **settings: Any) -> AsyncIterator[Raincheck]:
        """Run a process that works."""
        _, rain = self.application(engine or self.engine(), workers=True, **settings)
        async with rain.working():
            yield rain


@dataclass
class Client:
    """Submits and waits."""

    http: httpx2.AsyncClient

    async def submit(self, path: str, **query: Any) -> str:
        """Return the id of a new operation."""
        answer = await self.http.post(path, params=query)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def get(self, operation_id: str) -> dict[str, Any]:
        """Return an operation as it is."""
        return dict((await self.http.get(f"/operations/{operation_id}")).json())

    async def until(self, operation_id: str, status: str) -> dict[str, Any]:
        """Wait for a status."""
        async with asyncio.timeout(PATIENCE):
            while (found := await self.get(operation_id))["status"] != status:
                assert not found["done"], found
                await asyncio.sleep(0.02)
        return found

    async def done(self, operation_id: str) -> dict[str, Any]:
        """Wait for the end, which must be a success."""
        return await self.until(operation_id, "succeeded")


@pytest.fixture
def fleet(request, anyio_backend, tmp_path, place) -> Fleet:
    """Provide a fleet for each engine; with NATS on SQLite, the others on PostgreSQL."""
    made = place(request.param)
    chosen = {"store": f"sqlite:///{tmp_path}/fleet.db", **made.settings}

    def engine() -> Engine:
        found = chosen_engine(None, Settings(**chosen))
        assert found is not None
        return found

    return Fleet(chosen["store"], engine, made.flush)
