"""A receiver of webhooks, as an application's customer runs it."""

from __future__ import annotations

import base64
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from raincheck.client import verify_webhook
from tests.contract.serving import PATIENCE, TICK

SECRET = "whsec_" + base64.b64encode(b"webhooks" * 3).decode()


@dataclass
class Received:
    """One POST that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """Verify the signature and return the body."""
        verify_webhook(self.body, self.headers, SECRET)
        event: dict[str, Any] = json.loads(self.body)
        return event


class Receiver:
    """Answers 204, or what a test says for a path: statuses one after the other, the last one for ever.

    Asked for its consent, it agrees with whom a test says for the path.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: dict[str, list[int]] = {}
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.agreed: dict[str, str] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                body = self.rfile.read(length)
                if len(body) < length:  # its sender died in the middle, so nothing has arrived
                    self.close_connection = True
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(self.path, headers, body))
                answers = receiver.answers.get(self.path, [204])
                status = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                secret = b"the receiver's own words" if status >= 300 else b""
                self.send_header("Content-Length", str(len(secret)))
                self.end_headers()
                self.wfile.write(secret)

            def do_OPTIONS(self) -> None:
                receiver.asked.append((self.path, self.headers["webhook-request-origin"]))
                agreed = receiver.agreed.get(self.path)
                self.send_response(403 if agreed is None else 200)
                if agreed is not None:
                    self.send_header("WebHook-Allowed-Origin", agreed)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def at(self, path: str) -> list[Received]:
        """Return what arrived at a path, in order."""
        return [each for each in list(self.received) if each.path == path]

    def until(self, path: str, count: int) -> list[Received]:
        """Wait until so many arrived at a path."""
        deadline = time.monotonic() + PATIENCE
        while len(found := self.at(path)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} webhooks came to {path}"
            time.sleep(TICK)
        return found
