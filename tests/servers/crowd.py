"""Many readers of one operation: event streams, WebSockets and held polls, and when each of them ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Awaitable

SUBPROTOCOL = "raincheck.v1"


@dataclass(slots=True)
class Crowd:
    """Readers that are connected.

    :param ended: kind and moment of each reader's end, by ``time.monotonic``.
    :param codes: the close codes that the WebSockets got.
    """

    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    ended: list[tuple[str, float]] = field(default_factory=list)
    codes: list[int | None] = field(default_factory=list)

    async def gather(self, port: int, operation: str, *, streams: int, sockets: int, polls: int) -> None:
        """Connect all, and return once each has its first event; held polls once they are sent."""
        await self._all("stream", streams, lambda: self._stream(port, operation))
        await self._all("socket", sockets, lambda: self._socket(port, operation))
        await self._all("poll", polls, lambda: self._poll(port, operation))

    async def _all(self, kind: str, count: int, reader: object) -> None:
        for started in range(0, count, 50):
            lasting = await asyncio.gather(*(reader() for _ in range(min(50, count - started))))  # type: ignore[operator]
            self.tasks += [asyncio.create_task(self._note(kind, each)) for each in lasting]

    async def _note(self, kind: str, lasting: Awaitable[None]) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await lasting
        self.ended.append((kind, time.monotonic()))

    async def _stream(self, port: int, operation: str) -> Awaitable[None]:
        reader, writer = await self._request(port, f"{operation}/events")
        await reader.readuntil(b"data: ")
        return self._until_the_end(reader, writer)

    async def _poll(self, port: int, operation: str) -> Awaitable[None]:
        reader, writer = await self._request(port, f"{operation}?wait=60")
        return self._until_the_end(reader, writer)

    async def _request(self, port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        return reader, writer

    async def _until_the_end(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(1 << 16):
                pass
        finally:
            writer.close()

    async def _socket(self, port: int, operation: str) -> Awaitable[None]:
        socket = await connect(f"ws://127.0.0.1:{port}/operations/ws", subprotocols=[SUBPROTOCOL], proxy=None)  # type: ignore[list-item]
        await socket.send('{"type": "connection_init"}')
        await socket.recv()
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "operation": operation.rpartition("/")[2]}))
        await socket.recv()

        async def last() -> None:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await socket.recv()
            self.codes.append(socket.close_code)

        return last()
