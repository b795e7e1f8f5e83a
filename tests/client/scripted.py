"""Servers that do what a test says, and proxies that do to streams what proxies do."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Seen:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What to answer; a body of None cuts the connection instead."""

    status: int = 200
    body: bytes | None = b""
    headers: dict[str, str] | None = None

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Answer:
        """Answer with JSON."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status, json.dumps(value).encode(), {"content-type": "application/json", **named})


class Held(Exception):
    """Raised by a script that has written to the socket itself."""


class Scripted:
    """A server whose script answers each request; what came is in ``seen``."""

    def __init__(self, script: Callable[[Seen, BaseHTTPRequestHandler], Answer]) -> None:
        self.seen: list[Seen] = []
        self.over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                length = int(self.headers.get("content-length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.command, self.path, headers, self.rfile.read(length))
                outer.seen.append(seen)
                with contextlib.suppress(Held, OSError):
                    answer = script(seen, self)
                    if answer.body is not None:
                        self.send_response(answer.status)
                        for name, value in (answer.headers or {}).items():
                            self.send_header(name, value)
                        if answer.status != 204:
                            self.send_header("content-length", str(len(answer.body)))
                        self.end_headers()
                        self.wfile.write(answer.body)
                        return
                self.close_connection = True

            do_GET = do_POST = do_DELETE = handle_one  # noqa: N815 - names of http.server

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, and let held requests go."""
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def paths(self, part: str = "") -> list[str]:
        """Return the paths that were asked for and hold a text."""
        return [each.path for each in self.seen if part in each.path]


@contextlib.contextmanager
def scripted(script: Callable[[Seen, BaseHTTPRequestHandler], Answer]) -> Iterator[Scripted]:
    """Run a server while a test lasts."""
    server = Scripted(script)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def proxy(upstream: str, change: Callable[[Seen], Answer | None]) -> Iterator[Scripted]:
    """Run a proxy that passes whole answers on, as buffering ones do; a change answers in its place."""
    with httpx2.Client(timeout=60, trust_env=False) as client:

        def passed(seen: Seen, _: BaseHTTPRequestHandler) -> Answer:
            answer = change(seen)
            if answer is not None:
                return answer
            kept = {name: value for name, value in seen.headers.items() if name not in {"host", "accept-encoding"}}
            got = client.request(seen.method, upstream + seen.path, headers=kept, content=seen.body)
            dropped = {"transfer-encoding", "content-length", "connection", "date", "server"}
            headers = {name: value for name, value in got.headers.items() if name not in dropped}
            return Answer(got.status_code, got.content, headers)

        with scripted(passed) as server:
            yield server
