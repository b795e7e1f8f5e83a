"""Webhooks a second from end to end, and what one dead receiver costs the others."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from raincheck.core.deliveries import DeliveryStatus
from raincheck.core.endpoints import Endpoint, Webhook, WebhookPolicy
from raincheck.core.wire import Links
from raincheck.ports_deliveries import DeliveryQuery
from raincheck.roles.courier import Courier
from raincheck.stores.sqlite import SqliteStore
from raincheck.stores.sqlite.liveness import FileLiveness
from raincheck.testing.conformance.specimens import started, succeed
from raincheck.webhooks.deliver import HttpDeliverer

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
MANY = 2000
SPACED = 200
_ANSWER = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class Receiver(asyncio.Protocol):
    """Answers 204 when a request has arrived whole; ``arrived`` maps operations to the time."""

    arrived: dict[str, float]

    def __init__(self, arrived: dict[str, float]) -> None:
        self.arrived = arrived
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) >= length:
            self.arrived.setdefault(json.loads(body)["data"]["id"], time.perf_counter())
            self.transport.write(_ANSWER)  # type: ignore[attr-defined]
            self.transport.close()


class Dead(asyncio.Protocol):
    """Takes connections and never answers."""


async def listening(factory) -> tuple[asyncio.Server, str]:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Return a server and its URL."""
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Sending:
    """A store with a courier that sends to some URLs."""

    def __init__(self, folder: str, urls: list[str]) -> None:
        self.store = SqliteStore(Path(folder) / "bench.db")
        self.urls = urls
        webhooks = tuple(Webhook(url=url, secret=SECRET, private_networks=True) for url in urls)
        self.courier = lambda: Courier(
            store=self.store,
            deliverer=HttpDeliverer(),
            policy=WebhookPolicy(webhooks=webhooks),
            links=Links("https://api.example.com/operations", delivered=True),
            worker="bench",
            liveness=FileLiveness(Path(folder) / "workers"),
            clock=now,
            chance=lambda: 0.5,
        )

    async def end_one(self) -> str:
        """Accept, run and end an operation; return its id."""
        running = await started(self.store)
        ended = await succeed(self.store, running.id, now=now())
        return ended.id


async def throughput(folder: str) -> float:
    """Return webhooks a second: a backlog to one receiver, from the first lease to the last outcome."""
    arrived: dict[str, float] = {}
    server, url = await listening(lambda: Receiver(arrived))
    sending = Sending(folder, [url])
    await sending.store.open()
    await sending.store.set_endpoints([Endpoint(url)])
    await asyncio.gather(*(sending.end_one() for _ in range(MANY)))
    courier = sending.courier()
    began = time.perf_counter()
    await courier.start()
    while await sending.store.list_deliveries(
        DeliveryQuery(statuses=(DeliveryStatus.PENDING, DeliveryStatus.SENDING), limit=1)
    ):
        courier.notice()
        await asyncio.sleep(0.02)
    took = time.perf_counter() - began
    await courier.stop()
    await sending.store.close()
    server.close()
    assert len(arrived) == MANY
    return MANY / took


async def delays(folder: str, *, dead: bool) -> tuple[float, float]:
    """Return p50 and p99 in ms from the end of an operation to its webhook, with or without a dead neighbour."""
    arrived: dict[str, float] = {}
    server, url = await listening(lambda: Receiver(arrived))
    silent, dead_url = await listening(Dead)
    sending = Sending(folder, [url, dead_url])
    await sending.store.open()
    await sending.store.set_endpoints([Endpoint(url), *([Endpoint(dead_url)] if dead else [])])
    courier = sending.courier()
    sending.store.subscribe(courier.committed)
    await courier.start()
    ended: dict[str, float] = {}
    for _ in range(SPACED):
        operation = await sending.end_one()
        ended[operation] = time.perf_counter()
        await asyncio.sleep(0.01)
    for _ in range(500):
        if len(arrived) == SPACED:
            break
        await asyncio.sleep(0.01)
    assert len(arrived) == SPACED, len(arrived)
    await courier.stop()
    await sending.store.close()
    server.close()
    silent.close()
    found = sorted(1000 * max(0.0, arrived[each] - at) for each, at in ended.items())
    return statistics.median(found), found[int(0.99 * len(found))]


def measure() -> dict[str, float]:
    """Return the figures."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        found["webhooks_per_second"] = asyncio.run(throughput(folder))
    print(f"  {found['webhooks_per_second']:,.0f} webhooks a second to one receiver, with both commits")
    for name, dead in (("alone", False), ("beside_a_dead_one", True)):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            p50, p99 = asyncio.run(delays(folder, dead=dead))
        found |= {f"webhook_{name}_p50_ms": p50, f"webhook_{name}_p99_ms": p99}
        print(f"  end to webhook, {name.replace('_', ' ')}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return found
