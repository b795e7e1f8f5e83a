"""A load generator for loopback servers: keep-alive connections, prepared bytes, nothing parsed that need not be."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Load:
    """What a run of requests showed."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Return a latency in milliseconds; 0.5 is the median."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def median(self) -> float:
        """The median latency in milliseconds."""
        return 1000 * statistics.median(self.latencies)


def request_bytes(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    """Return a prepared HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, load: Load, pause: float) -> None:
        self.pause = pause
        self.request = request
        self.load = load
        self.received = b""
        self.sent_at = 0.0
        self.stop_at = 0.0
        self.closed = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def begin(self, stop_at: float) -> None:
        self.stop_at = stop_at
        self._send()

    def _send(self) -> None:
        self.sent_at = time.perf_counter()
        assert self.transport is not None
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        marker = head.lower().find(b"content-length:")
        length = int(head[marker + 15 :].split(b"\r\n", 1)[0]) if marker >= 0 else 0
        if len(body) < length:
            return
        now = time.perf_counter()
        status = int(head[9:12])
        self.load.statuses[status] = self.load.statuses.get(status, 0) + 1
        self.load.latencies.append(now - self.sent_at)
        self.received = b""
        if now < self.stop_at:
            if self.pause:
                asyncio.get_running_loop().call_later(self.pause, self._send)
            else:
                self._send()
        else:
            assert self.transport is not None
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(exc)


async def generate(port: int, request: bytes, *, connections: int, seconds: float, pause: float = 0.0) -> Load:
    """Send the same request over some connections, each waiting for its answer, for some seconds."""
    loop = asyncio.get_running_loop()
    load = Load()
    made = [
        (await loop.create_connection(lambda: _Connection(request, load, pause), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    began = time.perf_counter()
    for connection in made:
        connection.begin(began + seconds)
    await asyncio.gather(*(connection.closed for connection in made))
    load.seconds = time.perf_counter() - began
    return load
