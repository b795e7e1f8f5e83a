"""A TCP proxy on loopback that can lose what the server answers, as a broken network does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Self


class Proxy:
    """Passes bytes on until told otherwise.

    ``lose_answer_to`` cuts the connection that sends a text, after the server has got it and before the client gets
    the answer. ``refuse`` closes all connections, and each new one at once.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._doomed: bytes | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.refuse = False
        self.lost = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def url(self, url: str, port: int) -> str:
        """Return the URL of a server, led through here."""
        return url.replace(f":{port}/", f":{self.port}/")

    def lose_answer_to(self, text: bytes) -> None:
        """Lose the next answer to a message with this text."""
        self._doomed = text
        self.lost.clear()

    def cut(self) -> None:
        """Cut all connections."""
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.close()
            return
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, upstream}
        state = {"doomed": False}
        ways = (self._up(reader, upstream, state), self._down(upstream_reader, writer, state))
        await asyncio.gather(*ways, return_exceptions=True)
        for each in (writer, upstream):
            each.close()
            self._writers.discard(each)

    async def _up(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, state: dict[str, bool]) -> None:
        while data := await reader.read(1 << 16):
            if self._doomed is not None and self._doomed in data:
                self._doomed, state["doomed"] = None, True
            upstream.write(data)
            await upstream.drain()
        upstream.close()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: dict[str, bool]) -> None:
        while data := await reader.read(1 << 16):
            if state["doomed"]:
                self.lost.set()
                writer.transport.abort()
                return
            writer.write(data)
            await writer.drain()
        writer.close()


class Network:
    """A proxy in a thread of its own, for tests whose programs run in other processes."""

    def __init__(self, target: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._proxy = Proxy(target)
        self._run(self._proxy.__aenter__())
        self.url = self._proxy.url

    def sever(self) -> None:
        """Cut all connections, and let nobody connect."""
        self._proxy.refuse = True
        self._loop.call_soon_threadsafe(self._proxy.cut)

    def mend(self) -> None:
        """Let them connect again."""
        self._proxy.refuse = False

    def close(self) -> None:
        """End the thread."""
        self._run(self._proxy.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)
