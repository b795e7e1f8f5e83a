"""Receivers on loopback that behave as a test says, and a deliverer that may call them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from raincheck.core.deliveries import Message
from raincheck.webhooks.deliver import HttpDeliverer

SECRET = "whsec_" + "bmV2ZXIgdXNlZCBpbiBwcm9kdWN0aW9uISE="
SENT_AT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def message(url, **changes):
    """A message to a receiver of these tests."""
    values = {
        "id": "msg_1",
        "url": url,
        "body": b'{"type": "operation.succeeded"}',
        "sent_at": SENT_AT,
        "secrets": (SECRET,),
        "private_networks": True,
    }
    return Message(**{**values, **changes})


@dataclass
class Names:
    """A resolver that knows what a test tells it, and how often it was asked."""

    known: dict[str, list[str]]
    asked: list[str] = field(default_factory=list)

    async def resolve(self, host, port):
        self.asked.append(host)
        if host not in self.known:
            raise OSError("no such name")
        return [ip_address(each) for each in self.known[host]]


@dataclass
class Receiver:
    """One that was called: what it got, and where it listens."""

    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hooks"


async def read_request(reader):
    """Read one whole request of a sender that tells its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    return head + await reader.readexactly(length)


@contextlib.asynccontextmanager
async def listening(act, *, tls=None):
    """A server that does ``act(reader, writer)`` with each connection; gives its port, and leaves nothing open."""
    tasks = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            await act(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the sender has gone, or the test is over
        finally:
            await hang_up(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def receiving(answer, *, tls=None):
    """A receiver that reads a request and then does ``answer(reader, writer)``; bytes are simply written."""

    async def act(reader, writer):
        receiver.requests.append(await read_request(reader))
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
        else:
            await answer(reader, writer)

    async with listening(act, tls=tls) as port:
        receiver = Receiver(port)
        yield receiver


async def hang_up(writer):
    """Close a connection of which the other end may have gone, or may never read."""
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        writer.close()
        await asyncio.wait_for(writer.wait_closed(), 0.2)
    writer.transport.abort()


@contextlib.asynccontextmanager
async def sending(*, whole=timedelta(seconds=10), **options):
    """A started deliverer; it trusts no authority unless a test gives one, since reading the system's takes time."""
    options.setdefault("ssl_context", ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    deliverer = HttpDeliverer(whole_attempt=whole, **options)
    await deliverer.start()
    try:
        yield deliverer
    finally:
        await deliverer.stop()


@pytest.fixture
async def deliverer():
    async with sending() as started:
        yield started
