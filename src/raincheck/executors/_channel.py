"""The executor's end of a socket to another process, driven by its event loop."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections import deque
from typing import TYPE_CHECKING

from raincheck.executors._frames import FrameReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raincheck.executors._frames import Frame


class Channel:
    """Sends without waiting and receives frames in order; what is not read stays in the peer.

    Only while somebody waits in ``receive`` is the socket read, so a slow reader stops a fast writer.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003 - no keyword there
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._unsent: deque[tuple[memoryview, Sequence[int]]] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._peer_ended = False
        self._closed = False

    def send(self, data: bytes, *, fds: Sequence[int] = ()) -> None:
        """Send bytes, and descriptors with them, which are closed here; a peer that is gone gets nothing."""
        if self._closed:
            _close_all(fds)
            return
        self._unsent.append((memoryview(data), fds))
        if len(self._unsent) == 1:
            self._send_on()

    async def receive(self) -> list[Frame]:
        """Return the next frames, at least one; none at the end. Gives the loop a turn each time."""
        waited = False
        while not self._closed:
            try:
                data = self._sock.recv(self._reader.wanted)
            except BlockingIOError:
                if self._peer_ended:
                    return []
                await self._readable()
                waited = True
                continue
            except OSError:
                return []
            if not data:
                return []
            if not waited:
                await asyncio.sleep(0)
            waited = False
            if frames := self._reader.feed(data):
                return frames
        return []

    def peer_ended(self) -> None:
        """Note that the peer is dead: what is in the socket now is all there will be, even if others hold it open."""
        self._peer_ended = True
        _wake(self._waiting)

    def is_open(self) -> bool:
        """Tell whether some process still holds the other end."""
        if self._closed:
            return False
        poll = select.poll()
        poll.register(self._sock, 0)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the socket; the peer reads its end."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_writer(self._sock)
        for _, fds in self._unsent:
            _close_all(fds)
        self._unsent.clear()
        if self._waiting is not None:
            self._loop.remove_reader(self._sock)
            _wake(self._waiting)
        self._sock.close()

    async def _readable(self) -> None:
        self._waiting = self._loop.create_future()
        self._loop.add_reader(self._sock, _wake, self._waiting)
        try:
            await self._waiting
        finally:
            self._waiting = None
            if not self._closed:
                self._loop.remove_reader(self._sock)

    def _send_on(self) -> None:
        while self._unsent:
            data, fds = self._unsent[0]
            try:
                sent = socket.send_fds(self._sock, [data], list(fds)) if fds else self._sock.send(data)
            except BlockingIOError:
                self._loop.add_writer(self._sock, self._send_on)
                return
            except OSError:  # the peer is gone, which its reader notices
                sent = len(data)
            _close_all(fds)
            if sent < len(data):
                self._unsent[0] = (data[sent:], ())
            else:
                self._unsent.popleft()
        self._loop.remove_writer(self._sock)


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
