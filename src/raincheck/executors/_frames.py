"""Frames: what travels over the sockets between executor, fork server and children.

A frame is a type, a JSON header and raw bytes, each with its length. Nothing is pickled, so a user's value can neither
fail to travel nor run code on arrival.
"""

from __future__ import annotations

import json
import operator
import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsFloat, SupportsIndex

if TYPE_CHECKING:
    import socket

_PREFIX = struct.Struct("!BII")
READ_SIZE = 16 * 1024  # small, because the executor handles what one read brings without a pause of its loop
_LARGEST_READ = 256 * 1024


class FrameType(IntEnum):
    """What a frame says. The first group travels between executor and child, the second reaches the fork server."""

    REQUEST = 1
    CANCEL = 2
    PROGRESS = 3
    OUTPUT = 4
    LOG = 5
    DRAIN = 6
    DRAINED = 7
    OUTCOME = 8

    PLAN = 20
    READY = 21
    REFUSED = 22
    SPAWN = 23
    STARTED = 24
    SIGNAL = 25
    ENDED = 26


_TYPES = {int(kind): kind for kind in FrameType}


class Frame(NamedTuple):
    """One received frame."""

    type: FrameType
    header: bytes
    body: bytes

    def fields(self) -> dict[str, Any]:
        """Return the header's fields."""
        fields: dict[str, Any] = json.loads(self.header)
        return fields


def frame(kind: FrameType, fields: dict[str, Any] | None = None, body: bytes = b"") -> bytes:
    """Return the bytes of a frame."""
    header = b"" if fields is None else json.dumps(fields, default=_plain).encode("ascii")
    return b"".join((_PREFIX.pack(kind, len(header), len(body)), header, body))


def _plain(value: object) -> object:
    """Give numbers of other libraries, such as NumPy's, and odd values of a problem's extensions a JSON form."""
    if isinstance(value, SupportsIndex):
        return operator.index(value)
    if isinstance(value, SupportsFloat):
        return float(value)
    return str(value)


class FrameReader:
    """Cuts received bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def wanted(self) -> int:
        """How many bytes to read at once: more inside a large frame."""
        if len(self._buffer) < _PREFIX.size:
            return READ_SIZE
        _, header, body = _PREFIX.unpack_from(self._buffer)
        missing: int = _PREFIX.size + header + body - len(self._buffer)
        return max(READ_SIZE, min(missing, _LARGEST_READ))

    def feed(self, data: bytes) -> list[Frame]:
        """Take received bytes and return the frames that are complete now."""
        buffer = self._buffer
        buffer += data
        frames = []
        at = 0
        while len(buffer) - at >= _PREFIX.size:
            kind, header_size, body_size = _PREFIX.unpack_from(buffer, at)
            header_at = at + _PREFIX.size
            body_at = header_at + header_size
            end = body_at + body_size
            if end > len(buffer):
                break
            frames.append(Frame(_TYPES[kind], bytes(buffer[header_at:body_at]), bytes(buffer[body_at:end])))
            at = end
        del buffer[:at]
        return frames


def receive_frame(sock: socket.socket) -> Frame | None:
    """Return the next frame of a blocking socket, None at its end; reads not a byte more."""
    prefix = _receive_exactly(sock, _PREFIX.size)
    if prefix is None:
        return None
    kind, header_size, body_size = _PREFIX.unpack(prefix)
    header = _receive_exactly(sock, header_size)
    body = _receive_exactly(sock, body_size)
    if header is None or body is None:
        return None
    return Frame(_TYPES[kind], header, body)


def _receive_exactly(sock: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        part = sock.recv(min(size - len(data), _LARGEST_READ))
        if not part:
            return None
        data += part
    return bytes(data)
