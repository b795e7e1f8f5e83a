"""One attempt against receivers of every kind."""

from __future__ import annotations

import pytest

from raincheck.client import verify_webhook
from tests.webhooks.conftest import SECRET, SENT_AT, message, receiving

pytestmark = pytest.mark.anyio


async def test_a_receiver_gets_one_signed_post(deliverer):
    """The body arrives as it is, with the headers of Standard Webhooks, and verifies."""
    body = '{"type": "operation.succeeded", "timestamp": "2026-03-01T12:00:00.000Z", "data": {"id": "ö"}}'.encode()
    async with receiving(b"HTTP/1.1 204 No Content\r\n\r\n") as receiver:
        attempt = await deliverer.send(message(receiver.url + "?a=b", body=body))
    assert (attempt.status, attempt.failure) == (204, None), attempt
    head, _, received = receiver.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ") for line in lines)}
    assert first == "POST /hooks?a=b HTTP/1.1"
    assert received == body
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert headers["content-type"] == "application/json"
    event = verify_webhook(received, headers, SECRET, now=SENT_AT)
    assert (event.id, event.type, event.data, event.sent_at) == ("msg_1", "operation.succeeded", {"id": "ö"}, SENT_AT)
