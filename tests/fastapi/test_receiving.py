"""Receiving webhooks in a FastAPI application."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from raincheck import VerifiedWebhook
from raincheck.client import WebhookEvent
from raincheck.core.errors import ConfigurationError
from raincheck.webhooks.sign import Signer

SECRET = "whsec_bmV2ZXIgdXNlZCBpbiBwcm9kdWN0aW9uISE="
BODY = b'{"type":"operation.succeeded","timestamp":"2026-03-01T12:00:00Z","data":{"id":"op_1"}}'


def signed(body=BODY, *, ago=timedelta(0)):
    return Signer(SECRET).headers(message_id="msg_1", sent_at=datetime.now(UTC) - ago, body=body)


@pytest.fixture
def received():
    return []


@pytest.fixture
def client(received):
    app = FastAPI()

    @app.post("/hooks")
    async def hook(event: Annotated[WebhookEvent, Depends(VerifiedWebhook(SECRET, max_body=1000))]) -> None:
        received.append(event)

    with TestClient(app) as client:
        yield client


def test_a_verified_webhook_reaches_the_function(client, received):
    """As an event, parsed."""
    assert client.post("/hooks", content=BODY, headers=signed()).status_code == 200
    assert (received[0].type, received[0].data) == ("operation.succeeded", {"id": "op_1"})


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        # Signed when the test runs: what was signed when the file was read may have grown too old by then.
        (BODY, dict, "headers-missing"),
        (BODY + b" ", signed, "signature-mismatch"),
        (BODY, lambda: signed(ago=timedelta(minutes=6)), "too-old"),
        (BODY, lambda: [*signed().items(), ("webhook-id", "msg_2")], "headers-malformed"),
        (b"[]", lambda: signed(b"[]"), "body-malformed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_anything_else_is_400_with_the_reason(client, received, body, headers, reason):
    """The function does not run."""
    answer = client.post("/hooks", content=body, headers=headers())
    assert (answer.status_code, answer.json()) == (400, {"detail": reason})
    assert received == []


def test_a_body_over_the_limit_is_413(client, received):
    """It is not read to its end, signed or not."""
    body = BODY + b" " * 1000
    answer = client.post("/hooks", content=body, headers=signed(body))
    assert (answer.status_code, answer.json()) == (413, {"detail": "body-too-large"})
    assert received == []


def test_a_receiver_that_can_verify_nothing_is_refused_at_the_start():
    """A variable that is not set would refuse every webhook later, or worse."""
    for arguments in ((), (None,), ("secret",)):
        with pytest.raises(ConfigurationError):
            VerifiedWebhook(*arguments)
    with pytest.raises(ConfigurationError, match="max_body=0"):
        VerifiedWebhook(SECRET, max_body=0)
