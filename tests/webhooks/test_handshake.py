"""Callers' URLs are asked for their consent before the first webhook, where the application wants it."""

from __future__ import annotations

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from raincheck import Callbacks, Raincheck
from raincheck.webhooks.consent import Consents
from tests.webhooks.conftest import SECRET, Names, listening, message, sending

ORIGIN = "api.example.com"
AGREES = f"HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: {ORIGIN}\r\nAllow: POST\r\nContent-Length: 0\r\n\r\n".encode()
TAKES = b"HTTP/1.1 204 No Content\r\n\r\n"


@contextlib.asynccontextmanager
async def answering(options):
    """A receiver with one answer to OPTIONS that takes every POST; gives its port and the requests."""
    requests = []

    async def act(reader, writer):
        requests.append(head := await reader.readuntil(b"\r\n\r\n"))
        writer.write(options if head.startswith(b"OPTIONS") else TAKES)
        await writer.drain()

    async with listening(act) as port:
        yield port, requests


def methods(requests):
    return [request.split(b" ")[0].decode() for request in requests]


@pytest.mark.anyio
async def test_a_receiver_is_asked_once_and_then_called():
    """OPTIONS with the origin and without a signature; the name is looked up once for both."""
    names = Names({"hooks.test": ["127.0.0.1"]})
    async with answering(AGREES) as (port, requests), sending(resolver=names) as deliverer:
        to_it = message(f"http://hooks.test:{port}/in?a=1", origin=ORIGIN)
        assert (await deliverer.send(to_it)).status == 204
        assert names.asked == ["hooks.test"]
        assert (await deliverer.send(to_it)).status == 204
    assert methods(requests) == ["OPTIONS", "POST", "POST"]
    question = requests[0].decode().lower()
    assert question.startswith("options /in?a=1 http/1.1\r\n")
    assert f"webhook-request-origin: {ORIGIN}\r\n" in question
    assert f"host: hooks.test:{port}\r\n" in question
    assert "webhook-signature" not in question


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "agreed"),
    [
        (AGREES.replace(ORIGIN.encode(), b"*"), True),
        (AGREES.replace(ORIGIN.encode(), b" API.Example.com "), True),
        (AGREES.replace(b"200 OK", b"204 No"), True),
        (AGREES.replace(ORIGIN.encode(), b"other.example.com"), False),
        (AGREES.replace(ORIGIN.encode(), b"example.com"), False),
        (AGREES.replace(ORIGIN.encode(), b""), False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (AGREES.replace(b"200 OK", b"405 No"), False),
        (AGREES.replace(b"200 OK", b"302 Go\r\nLocation: /"), False),
    ],
)
async def test_only_a_clear_yes_lets_a_webhook_out(answer, agreed):
    """Nothing is posted to a server that does not know what it is asked."""
    async with answering(answer) as (port, requests), sending() as deliverer:
        attempt = await deliverer.send(message(f"http://127.0.0.1:{port}/", origin=ORIGIN))
    assert (attempt.status, attempt.failure) == ((204, None) if agreed else (None, "not-agreed"))
    assert methods(requests) == (["OPTIONS", "POST"] if agreed else ["OPTIONS"])
    assert agreed or "WebHook-Allowed-Origin: api.example.com" in attempt.detail


@pytest.mark.anyio
@pytest.mark.parametrize("answer", [b"", b"no http\r\n\r\n"])
async def test_a_question_without_an_answer_is_a_failure_as_any(answer):
    """It says what went wrong, and sends nothing."""
    async with answering(answer) as (port, requests), sending() as deliverer:
        attempt = await deliverer.send(message(f"http://127.0.0.1:{port}/", origin=ORIGIN))
    assert attempt.failure == ("malformed-answer" if answer else "unreachable")
    assert methods(requests) == ["OPTIONS"]


@pytest.mark.anyio
async def test_the_question_is_guarded_like_the_webhook():
    """A refused address is not asked either."""
    names = Names({"hooks.test": ["127.0.0.1"]})
    async with answering(AGREES) as (port, requests), sending(resolver=names) as deliverer:
        url = f"https://hooks.test:{port}"
        attempt = await deliverer.send(message(url, origin=ORIGIN, allow=(url,), private_networks=False))
    assert (attempt.failure, requests) == ("refused-address", [])


def test_consent_is_for_one_url_and_one_origin_and_ends():
    """An hour later the receiver is asked again; what is remembered is bounded."""
    now = 0.0
    consents = Consents(clock=lambda: now)
    consents.note("https://a.example/1", ORIGIN)
    assert consents.holds("https://a.example/1", ORIGIN)
    assert not consents.holds("https://a.example/2", ORIGIN)
    assert not consents.holds("https://a.example/1", "other.example.com")
    now = 3600.0
    assert not consents.holds("https://a.example/1", ORIGIN)
    for number in range(10_001):
        consents.note(f"https://b.example/{number}", ORIGIN)
    assert not consents.holds("https://b.example/0", ORIGIN)
    assert consents.holds("https://b.example/10000", ORIGIN)


@pytest.fixture
def receiver():
    """Agrees at /agrees, and answers 501 to every other question."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_OPTIONS(self):
            self.answered(200 if self.path == "/agrees" else 501)

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.answered(204)

        def answered(self, status):
            got.append((self.command, self.path, self.headers["webhook-request-origin"]))
            self.send_response(status)
            self.send_header("WebHook-Allowed-Origin", self.headers["webhook-request-origin"] or "")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    server.server_close()
    thread.join()


def test_callbacks_with_a_handshake_from_end_to_end(receiver):
    """The host of the public URL asks; a caller whose URL does not agree sees why."""
    url, got = receiver
    app = FastAPI()
    callbacks = Callbacks(secret=SECRET, private_networks=True, handshake=True)
    rain = Raincheck(app, store="memory:", public_url=f"https://{ORIGIN}/shop", callbacks=callbacks)

    @rain.post("/numbers")
    async def numbers() -> int:
        return 7

    found = {}
    with TestClient(app) as client:
        for path in ("/agrees", "/never-heard-of-it"):
            accepted = client.post("/numbers", headers={"Callback-Url": url + path}).json()
            deadline = time.monotonic() + 30
            while not any(each["attempts"] for each in client.get(accepted["links"]["deliveries"]).json()["items"]):
                assert time.monotonic() < deadline
            [delivery] = client.get(accepted["links"]["deliveries"]).json()["items"]
            found[path] = (delivery["status"], delivery["attempts"][0]["failure"])
    assert found == {"/agrees": ("delivered", None), "/never-heard-of-it": ("pending", "not-agreed")}
    assert got == [
        ("OPTIONS", "/agrees", ORIGIN),
        ("POST", "/agrees", None),
        ("OPTIONS", "/never-heard-of-it", ORIGIN),
    ]
