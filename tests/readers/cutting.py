"""A proxy that cuts every stream after five events: between frames, in the middle of one, cleanly and abruptly."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections import Counter
from typing import Any

EVENTS = 5
HOLD = 60.0  # seconds that a request is held while the server is away, as load balancers do
_READER = re.compile(rb"[?&]reader=([a-z0-9-]+)")
_RETRY = re.compile(rb"retry: [0-9]+\n")


class CuttingProxy(threading.Thread):
    """Listens on 127.0.0.1. Streams end after five events; which end they meet goes round.

    Readers that name themselves with ``?reader=`` are counted in ``streams`` and ``cuts``.
    ``retry:`` is shortened, and what the server sent is kept in ``retries``.
    """

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.upstream = port
        self.streams: Counter[str] = Counter()
        self.cuts: Counter[str] = Counter()
        self.retries: list[bytes] = []
        self._ready = threading.Event()
        self.start()
        self._ready.wait(30)

    def run(self) -> None:
        """Serve until stopped."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stop(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self.join(30)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *([0-9]+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            source, upstream = await self._connected()
            if b"upgrade: websocket" not in head.lower():
                head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head)[:-2] + b"Connection: close\r\n\r\n"
            upstream.write(head + body)
            await self._answer(head, reader, source, writer, upstream)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            for each in (upstream, writer):
                if each is not None:
                    each.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        deadline = self._loop.time() + HOLD
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", self.upstream, limit=1 << 22)
            except OSError:
                if self._loop.time() > deadline:
                    raise
                await asyncio.sleep(0.05)

    async def _answer(self, head: bytes, reader: Any, source: Any, writer: Any, upstream: Any) -> None:
        answer = await source.readuntil(b"\r\n\r\n")
        writer.write(answer)
        name = found[1].decode() if (found := _READER.search(head)) else ""
        if answer.startswith(b"HTTP/1.1 101"):
            self.streams[name] += 1
            up = asyncio.create_task(_relay(reader, upstream))
            try:
                await self._cut_socket(source, writer, name)
            finally:
                up.cancel()
                await asyncio.gather(up, return_exceptions=True)
        elif b"text/event-stream" in answer.lower():
            self.streams[name] += 1
            # A reader that goes away must not leave its stream open at the server.
            gone = asyncio.create_task(_relay(reader, upstream, then_close=True))
            try:
                await self._cut_stream(source, writer, name)
            finally:
                gone.cancel()
                await asyncio.gather(gone, return_exceptions=True)
        else:
            await _relay(source, writer)

    async def _cut_stream(self, source: Any, writer: Any, name: str) -> None:
        """Pass frames on, each in a chunk of its own, and cut."""
        manner = self.streams[name] % 3
        sent = 0
        async for frame in _frames(source):
            if found := _RETRY.match(frame):
                self.retries.append(found[0])
                frame = b"retry: 50\n" + frame[found.end() :]  # noqa: PLW2901
            if sent == EVENTS:  # only when the cut waits for half of another frame
                half = frame[: frame.index(b"data: ") + 20]
                writer.write(b"%x\r\n%b\r\n" % (len(half), half))
                break
            writer.write(b"%x\r\n%b\r\n" % (len(frame), frame))
            await writer.drain()
            sent += b"data: " in frame
            if sent == EVENTS and (manner != 2 or b"event: done" in frame):
                break
        self.cuts[name] += sent == EVENTS
        if manner == 0 or (sent < EVENTS and source.done):
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        elif manner == 1:
            await writer.drain()
            await asyncio.sleep(0.02)  # let the events arrive before the reset, which would drop them
            _reset(writer)

    async def _cut_socket(self, source: Any, writer: Any, name: str) -> None:
        """Pass messages on and cut after the acknowledgement and five events."""
        sent = 0
        while sent < EVENTS + 1:
            start = await source.readexactly(2)
            size = start[1] & 127
            extra = await source.readexactly({126: 2, 127: 8}.get(size, 0))
            size = int.from_bytes(extra) if extra else size
            writer.write(start + extra + await source.readexactly(size))
            await writer.drain()
            sent += start[0] & 15 == 1
        self.cuts[name] += 1


async def _frames(source: asyncio.StreamReader) -> Any:
    """Give the frames of a chunked event stream; ``source.done`` says whether it came to its end."""
    source.done = False
    waiting = b""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            size = int(await source.readuntil(b"\r\n"), 16)
            waiting += (await source.readexactly(size + 2))[:size]
            if size == 0:
                source.done = True
                return
            *frames, waiting = waiting.split(b"\n\n")
            for frame in frames:
                yield frame + b"\n\n"


async def _relay(source: Any, sink: Any, *, then_close: bool = False) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
    if then_close:
        sink.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Make the close a reset (RST)."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
