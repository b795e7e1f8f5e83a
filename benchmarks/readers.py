"""Thousands of idle readers in one thread: connections that only count what arrives, and when the last one has it."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_AT_ONCE = 100
_PING = 0x89
_INIT = b'{"type": "connection_init"}'


class Crowd:
    """Readers of one operation. ``mark`` is what they count; ``reached`` resolves when each has it so often."""

    def __init__(self, port: int, *, first: bytes, then: bytes = b"", ready: bytes, mark: bytes) -> None:
        self._port = port
        self.first = first
        self.then = then
        self.ready = ready
        self.mark = mark
        self.readers: list[_Reader] = []
        self.lost = 0
        self._waiting = 0
        self._reached: asyncio.Future[float] | None = None

    async def grow(self, number: int) -> None:
        """Connect until there are so many, and wait until each is being served."""
        loop = asyncio.get_running_loop()
        while len(self.readers) < number:
            more = min(_AT_ONCE, number - len(self.readers))
            made = [loop.create_connection(lambda: _Reader(self), "127.0.0.1", self._port) for _ in range(more)]
            new = [reader for _, reader in await asyncio.gather(*made)]
            await asyncio.wait_for(asyncio.gather(*(reader.served for reader in new)), 30)
            self.readers += new

    async def told(self, tell: Callable[[], object]) -> float:
        """Have something told, and return the seconds until the last reader has it."""
        self._waiting = len(self.readers)
        self._reached = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        tell()
        return await asyncio.wait_for(self._reached, 60) - began

    def has_it(self) -> None:
        """Count one reader that was told."""
        self._waiting -= 1
        if self._waiting == 0 and self._reached is not None:
            self._reached.set_result(time.perf_counter())

    def close(self) -> None:
        """Close all connections."""
        for reader in self.readers:
            reader.transport.abort()


class _Reader(asyncio.Protocol):
    __slots__ = ("_crowd", "_received", "served", "transport")

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._received = b""
        self.served: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self.transport.write(self._crowd.first)

    def data_received(self, data: bytes) -> None:
        if self.served.done():
            if data[0] == _PING:  # a server closes a WebSocket that does not answer
                self.transport.write(_masked(data[2 : 2 + data[1]], opcode=0x8A))
            if self._crowd.mark in data:
                self._crowd.has_it()
            return
        self._received += data
        if self._crowd.then and b"\r\n\r\n" in self._received:
            self.transport.write(self._crowd.then)
            self._received = b""
        elif self._crowd.ready in self._received:
            self._received = b""
            self.served.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.lost += 1
        if not self.served.done():
            self.served.set_exception(exc or ConnectionError("closed before it was served"))


def stream_readers(port: int, operation_id: str) -> Crowd:
    """Return readers of the operation's event stream."""
    path = f"/operations/{operation_id}/events"
    first = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n".encode()
    return Crowd(port, first=first, ready=b"event: snapshot", mark=b"event: output")


def socket_readers(port: int, operation_id: str) -> Crowd:
    """Return WebSockets that subscribed to the operation."""
    head = ["GET /operations/ws HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
    head += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    head += ["Sec-WebSocket-Protocol: raincheck.v1", "", ""]
    subscribe = json.dumps({"type": "subscribe", "id": "1", "operation": operation_id}).encode()
    return Crowd(
        port,
        first="\r\n".join(head).encode(),
        then=_masked(_INIT) + _masked(subscribe),
        ready=b'"event": "snapshot"',
        mark=b'"event": "output"',
    )


def most_connections() -> int:
    """Return how many connections the limits of descriptors allow this process and a server that inherits them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384 if hard == resource.RLIM_INFINITY else min(hard, 16_384)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return 10_000 if wanted > 11_000 else 1_000


def _masked(payload: bytes, *, opcode: int = 0x81) -> bytes:
    """Return a client's frame; a mask of zeros changes nothing (RFC 6455 §5.3)."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
    return bytes([opcode]) + length + bytes(4) + payload
