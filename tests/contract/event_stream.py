"""A reader of Server-Sent Events that forgives nothing (WHATWG HTML §9.2)."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2

    from tests.contract.serving import Caller, Server

FIELDS = frozenset({"event", "data", "id", "retry"})


@dataclass(frozen=True)
class Frame:
    """One event as it was sent; ``id`` and ``retry`` only where its own frame has them."""

    event: str
    text: str
    id: str | None
    retry: int | None

    @property
    def data(self) -> dict[str, Any]:
        """The event's JSON object."""
        assert self.text.isascii()
        found = json.loads(self.text)
        assert isinstance(found, dict)
        assert found["type"] == self.event
        return found

    @property
    def version(self) -> int:
        """The version of the change."""
        version: int = self.data["version"]
        return version


class Parser:
    """Turns bytes into frames, however they are cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._fields: dict[str, list[str]] = {}
        self.comments: list[str] = []

    @property
    def between_frames(self) -> bool:
        """Whether nothing was begun and not ended."""
        return not self._rest.strip(b"\n") and not self._fields

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Give the frames that end in the data."""
        if not self._begun and data:
            assert not data.startswith(b"\xef\xbb\xbf"), "a byte order mark"
            self._begun = True
        self._rest += data
        *lines, self._rest = _lines(self._rest)
        for line in lines:
            frame = self._line(line.decode())
            if frame is not None:
                yield frame

    def _line(self, line: str) -> Frame | None:
        if not line:
            return self._dispatch()
        if line.startswith(":"):
            self.comments.append(line[1:].removeprefix(" "))
            return None
        name, colon, value = line.partition(":")
        assert colon, f"a field without a value: {line!r}"
        assert name in FIELDS, f"an unknown field: {line!r}"
        assert name == "data" or name not in self._fields, f"sent twice: {line!r}"
        self._fields.setdefault(name, []).append(value.removeprefix(" "))
        return None

    def _dispatch(self) -> Frame | None:
        fields, self._fields = self._fields, {}
        if not fields:
            return None
        assert "data" in fields, f"a frame without data is an empty event for some readers: {fields}"
        assert "event" in fields, fields
        identity = fields.get("id", [None])[0]
        assert identity is None or "\x00" not in identity
        retry = fields.get("retry", [None])[0]
        assert retry is None or (retry.isascii() and retry.isdigit())
        return Frame(fields["event"][0], "\n".join(fields["data"]), identity, None if retry is None else int(retry))


def _lines(data: bytes) -> list[bytes]:
    """Split at CR, LF and CRLF; the last is what no line end follows yet."""
    held = data.endswith(b"\r")  # a line feed may follow
    body = data[:-1] if held else data
    *lines, rest = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return [*lines, rest + b"\r" if held else rest]


class Reader:
    """An open event stream."""

    def __init__(self, response: httpx2.Response) -> None:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache, no-transform"
        assert response.headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in response.headers
        self.response = response
        self.process = response.headers["x-process"]
        self._parser = Parser()
        self._frames = self._read()

    @property
    def comments(self) -> list[str]:
        """The comments that have come."""
        return self._parser.comments

    def _read(self) -> Iterator[Frame]:
        for data in self.response.iter_raw():
            yield from self._parser.feed(data)
        assert self._parser.between_frames, "the stream ended within a frame"

    def next(self) -> Frame:
        """Wait for the next event."""
        return next(self._frames)

    def until(self, event: str) -> list[Frame]:
        """Read on to the next event of a type."""
        found = [self.next()]
        while found[-1].event != event:
            found.append(self.next())
        return found

    def rest(self) -> list[Frame]:
        """Read to the end, which the server makes."""
        return list(self._frames)


@contextlib.contextmanager
def reading(
    caller: Caller,
    path: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    **options: Any,
) -> Iterator[Reader]:
    """Open an event stream over a connection of its own, as browsers do."""
    with opened(caller.server, path, method=method, headers={**caller.headers, **(headers or {})}, **options) as reader:
        yield reader


@contextlib.contextmanager
def opened(
    server: Server,
    path: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    **options: Any,
) -> Iterator[Reader]:
    """Open an event stream as nobody in particular."""
    with (
        server.fresh() as client,
        client.stream(method, path, headers={"Accept": "text/event-stream", **(headers or {})}, **options) as response,
    ):
        yield Reader(response)


@contextlib.contextmanager
def reading_everywhere(caller: Caller, path: str, **options: Any) -> Iterator[list[Reader]]:
    """Open an event stream in each of the server's processes."""
    with contextlib.ExitStack() as stack:
        found: dict[str, Reader] = {}
        while len(found) < caller.server.processes:
            with contextlib.ExitStack() as attempt:
                reader = attempt.enter_context(reading(caller, path, **options))
                if reader.process not in found:
                    found[reader.process] = reader
                    stack.push(attempt.pop_all())
        yield list(found.values())


def events(frames: list[Frame]) -> list[tuple[str, int]]:
    """Return types and versions."""
    return [(frame.event, frame.version) for frame in frames]


def everything(caller: Caller, operation: dict[str, Any]) -> list[Frame]:
    """Return all frames of an operation that is done, from its beginning."""
    with reading(caller, operation["links"]["events"], params={"after": 0}) as reader:
        return reader.rest()
