"""Secrets stay where they were given: not in answers, logs, the database or what is kept of receivers."""

from __future__ import annotations

import base64
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from raincheck import Callbacks, Raincheck, Webhook
from raincheck.webhooks.answers import one_line

KEYS = [bytes([letter]) * 32 for letter in b"abc"]
NEWER, OLDER, CALLBACKS = ("whsec_" + base64.b64encode(key).decode() for key in KEYS)
BEARER = "Bearer own-token-of-the-receiver"


@pytest.fixture
def echo():
    """A receiver in debug mode: it refuses, and answers with all that it got and knows."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            got.append(self.headers["webhook-signature"])
            words = f"{self.headers}\nsecret={NEWER}\nAuthorization: {BEARER}\nwhy: no room".encode()
            self.send_response(500)
            self.send_header("Content-Length", str(len(words)))
            self.end_headers()
            self.wfile.write(words)

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    server.server_close()
    thread.join()


def test_no_secret_leaves_the_process(echo, tmp_path, caplog):
    """All that callers, operators and whoever reads the disk can see after webhooks and callbacks have failed."""
    caplog.set_level(logging.DEBUG)
    url, got = echo
    app = FastAPI()
    rain = Raincheck(
        app,
        store=f"sqlite:///{tmp_path}/operations.db",
        public_url="https://api.example.com",
        webhooks=[Webhook(url=f"{url}/all", secret=(NEWER, OLDER), private_networks=True)],
        callbacks=Callbacks(secret=CALLBACKS, private_networks=True),
    )

    @rain.post("/numbers")
    async def numbers() -> int:
        return 7

    with TestClient(app) as client:
        accepted = client.post("/numbers", headers={"Callback-Url": f"{url}/mine"})
        address = accepted.json()["links"]["deliveries"]
        deadline = time.monotonic() + 30
        listed = client.get(address)
        while sum(bool(each["attempts"]) for each in listed.json()["items"]) < 2:
            assert time.monotonic() < deadline, listed.text
            listed = client.get(address)
        again = client.post(listed.json()["items"][0]["links"]["redeliver"])
        refused = client.post("/numbers", headers={"Callback-Url": "ftp://x.example"})
        answers = [
            accepted,
            listed,
            again,
            refused,
            client.get("/openapi.json"),
            client.get(accepted.headers["Location"]),
        ]
        seen = [answer.text + str(answer.headers) for answer in answers]
    assert len(got) >= 2
    disk = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"no room" in disk, "the excerpt is kept, so what it hides was hidden"
    seen += [caplog.text, repr(rain.__dict__), disk.decode("latin-1")]
    signatures = [part.removeprefix("v1,") for header in got for part in header.split(" ")]
    for secret in (
        *(each[6:] for each in (NEWER, OLDER, CALLBACKS)),
        *(key.decode() for key in KEYS),
        *signatures,
        BEARER,
    ):
        assert not [text[:200] for text in seen if secret in text], f"{secret} was found"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("webhook-signature: v1,a+/b= v1,c= end", "webhook-signature: [hidden] [hidden] end"),
        ('{"api_key": "a b", "why": "full"}', '{"api_key": [hidden], "why": "full"}'),
        ("token=abc&why=full", "token=[hidden]&why=full"),
        ("Set-Cookie: id=4; why", "Set-Cookie: [hidden]; why"),
        ("jwt eyJhbGciOi.eyJzdWIi.x-y_z!", "jwt [hidden]!"),
        ("basic dXNlcjpwYXNz, why", "[hidden], why"),
        ("the token has expired", "the token has expired"),
        ("no secret: at all", "no secret: [hidden] all"),
        ("invoice v1 of 3, full", "invoice v1 of 3, full"),
    ],
)
def test_what_looks_like_a_credential_is_hidden(text, kept):
    """Rather a word too much than a secret; other words stay."""
    assert one_line(text) == kept


@pytest.mark.parametrize(
    "text", ["a" * 4000, "token" * 800, "token=" * 700, 'secret="' * 500, "eyJ." * 1000, "- " * 2000]
)
def test_hiding_costs_no_time(text):
    """A receiver cannot stop the event loop with its answer."""
    began = time.process_time()
    one_line(text)
    assert time.process_time() - began < 0.1
