"""What uvicorn's WebSocket engines make of frames that break RFC 6455, under the operations' WebSocket."""

from __future__ import annotations

import base64
import os
import socket
import struct

import pytest

from tests.readers.serving import Server

ENGINES = ["websockets-sansio", "websockets", "wsproto"]
TEXT, CONTINUED, BINARY, CLOSE, PING = 1, 0, 2, 8, 9
FINAL = 0x80
BAD_UTF8 = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"
PROTOCOL, PAYLOAD, TOO_BIG = 1002, 1007, 1009


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """Return a frame as RFC 6455 §5.2 lays it out."""
    head = bytes([(FINAL if final else 0) | reserved << 4 | opcode])
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 1 << 16:
        head += bytes([bit | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", len(payload))
    if not masked:
        return head + payload
    mask = b"\x11\x22\x33\x44"
    return head + mask + bytes(each ^ mask[place % 4] for place, each in enumerate(payload))


def close(code: int, reason: bytes = b"") -> bytes:
    """Return a close frame."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


CASES = {
    "bad UTF-8": (frame(TEXT, BAD_UTF8), {PAYLOAD}),
    "bad UTF-8 in two frames": (frame(TEXT, BAD_UTF8[:12], final=False) + frame(CONTINUED, BAD_UTF8[12:]), {PAYLOAD}),
    "UTF-8 that ends too soon": (frame(TEXT, b"\xce"), {PAYLOAD}),
    "overlong UTF-8": (frame(TEXT, b"\xc0\xaf"), {PAYLOAD}),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), {PAYLOAD}),
    "above U+10FFFF": (frame(TEXT, b"\xf4\x90\x80\x80"), {PAYLOAD}),
    "opcode 3": (frame(3, b"x"), {PROTOCOL}),
    "opcode 11": (frame(11, b"x"), {PROTOCOL}),
    "reserved bit 2": (frame(TEXT, b"{}", reserved=2), {PROTOCOL}),
    "reserved bit 3": (frame(TEXT, b"{}", reserved=1), {PROTOCOL}),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), {PROTOCOL}),
    "a ping in two frames": (frame(PING, b"x", final=False) + frame(CONTINUED, b"y"), {PROTOCOL}),
    "a continuation of nothing": (frame(CONTINUED, b"x"), {PROTOCOL}),
    "a text within a text": (frame(TEXT, b"x", final=False) + frame(TEXT, b"y"), {PROTOCOL}),
    "a frame without a mask": (frame(TEXT, b"{}", masked=False), {PROTOCOL}),
    "a close of one byte": (frame(CLOSE, b"x"), {PROTOCOL}),
    "close code 0": (close(0), {PROTOCOL}),
    "close code 999": (close(999), {PROTOCOL}),
    "close code 1005": (close(1005), {PROTOCOL}),
    "close code 1016": (close(1016), {PROTOCOL, 1016}),
    "a reason that is no UTF-8": (close(1000, BAD_UTF8), {PROTOCOL, PAYLOAD}),
    "65 KiB": (frame(TEXT, b'"' + b"x" * (65 << 10) + b'"'), {TOO_BIG}),
    "65 KiB in two frames": (frame(TEXT, b"x" * 40_000, final=False) + frame(CONTINUED, b"x" * 40_000), {TOO_BIG}),
}
GOOD = {
    "a message in three frames with a ping between": (
        frame(TEXT, b'{"type":', final=False)
        + frame(PING, b"here")
        + frame(CONTINUED, b' "pi', final=False)
        + frame(CONTINUED, b'ng"}'),
        b'{"type": "pong"}',
    ),
    "a character over two frames": (
        frame(TEXT, b'{"type": "ping", "x": "\xc3', final=False) + frame(CONTINUED, b'\xbc"}'),
        b'{"type": "pong"}',
    ),
}


class Raw:
    """A connection that sends what it likes."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            *("GET /operations/ws HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade"),
            *(f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: raincheck.v1"),
        ]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._file = self._socket.makefile("rb")
        assert b" 101 " in self._file.readline()
        while self._file.readline().strip():
            pass
        self.send(frame(TEXT, b'{"type": "connection_init"}'))
        assert self.next() == (TEXT, b'{"type": "connection_ack"}')

    def send(self, data: bytes) -> None:
        """Send bytes; the server may have closed already."""
        self._socket.sendall(data)

    def next(self) -> tuple[int, bytes] | None:
        """Return the next frame, None at the end."""
        head = self._file.read(2)
        if len(head) < 2:
            return None
        length = head[1] & 0x7F
        if length >= 126:
            length = int.from_bytes(self._file.read(2 if length == 126 else 8), "big")
        return head[0] & 15, self._file.read(length)

    def close_code(self) -> int | None:
        """Read to the end and return the code of the close frame, None without one."""
        code = None
        try:
            while (found := self.next()) is not None:
                if found[0] == CLOSE and len(found[1]) >= 2:
                    (code,) = struct.unpack("!H", found[1][:2])
                    self._socket.sendall(frame(CLOSE, found[1][:2]))
        except ConnectionError:
            return code
        return code

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()


@pytest.fixture(scope="module", params=ENGINES)
def server(request, tmp_path_factory):
    """A server with one of the engines."""
    started = Server(tmp_path_factory.mktemp(request.param), arguments=("--ws", request.param))
    started.engine = request.param
    yield started
    started.kill()


def broken_frames(server):
    """Send each broken frame over a connection of its own; return the codes that are not those of the standard."""
    wrong = {}
    for name, (data, codes) in CASES.items():
        raw = Raw(server.port)
        raw.send(data)
        code = raw.close_code()
        raw.close()
        if code not in codes:
            wrong[name] = code
    return wrong


def test_broken_frames_end_their_connection_and_trouble_nobody(server):
    """Whatever breaks the protocol ends this connection alone, by a close frame or by hanging up."""
    wrong = broken_frames(server)
    assert "raincheck" not in server.log  # no traceback goes through us
    assert server.client.get("/ping").json() == "pong"
    if server.engine == "wsproto":  # the one that the guide advises: it hangs up where others name the code
        assert set(wrong.values()) <= {None}
        assert server.log == ""
    else:  # uvicorn's default, and its predecessor: the codes of the standard, and a traceback for bad UTF-8
        assert wrong == {}


def test_fragments_and_pings_between_them_are_put_together(server):
    """A message may come in frames that cut it anywhere."""
    for name, (data, answer) in GOOD.items():
        raw = Raw(server.port)
        raw.send(data)
        while (found := raw.next()) is not None and found[0] != TEXT:
            pass
        raw.close()
        assert found == (TEXT, answer), name
