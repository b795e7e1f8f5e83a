"""The receiver's verifier: what it accepts from others' signers, and how it says no."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
import svix.webhooks
from hypothesis import given
from hypothesis import strategies as st

from raincheck.client import WebhookRefused, verify_webhook
from raincheck.client.verify import (
    WebhookBodyMalformed,
    WebhookHeadersMalformed,
    WebhookHeadersMissing,
    WebhookSignatureMismatch,
    WebhookTooNew,
    WebhookTooOld,
)
from raincheck.core.errors import ConfigurationError

SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
SENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
BODY = b'{"type":"operation.succeeded","timestamp":"2026-03-01T11:59:58.123Z","data":{"id":"op_1","version":4}}'


def headers(body=BODY, *, sent=SENT, secret=SECRET, message_id="msg_1", library=standardwebhooks):
    signature = library.Webhook(secret).sign(message_id, sent, body.decode())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(sent.timestamp())),
        "webhook-signature": signature,
    }


@pytest.mark.parametrize("library", [standardwebhooks, svix.webhooks], ids=["standardwebhooks", "svix"])
@pytest.mark.parametrize("body", [BODY, BODY.replace(b"op_1", "Zürich 🌧".encode())], ids=["ascii", "not ascii"])
def test_what_others_sign_verifies(library, body):
    """Any sender of Standard Webhooks can be received."""
    event = verify_webhook(body, headers(body, library=library), SECRET, now=SENT)
    assert (event.id, event.type, event.sent_at) == ("msg_1", "operation.succeeded", SENT)
    assert event.timestamp == datetime(2026, 3, 1, 11, 59, 58, 123000, tzinfo=UTC)
    assert event.data["version"] == 4


def test_text_and_capitals_are_taken_as_they_come():
    """Frameworks give bodies as text and headers in capitals."""
    loud = {name.title(): value for name, value in headers().items()}
    assert verify_webhook(BODY.decode(), loud, [SECRET], now=SENT).data["id"] == "op_1"


def test_either_secret_of_a_rotation_verifies():
    """A receiver that knows both secrets accepts what is signed with one; other signatures are passed over."""
    other = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    given_headers = headers()
    given_headers["webhook-signature"] = f"v1a,xyz v1,bm8= {given_headers['webhook-signature']} garbage"
    assert verify_webhook(BODY, given_headers, (other, SECRET), now=SENT).id == "msg_1"


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        ({"webhook-id": None}, WebhookHeadersMissing, "headers-missing"),
        ({"webhook-signature": ""}, WebhookHeadersMissing, "headers-missing"),
        ({"webhook-timestamp": "12.5"}, WebhookHeadersMalformed, "headers-malformed"),
        ({"webhook-timestamp": "-1"}, WebhookHeadersMalformed, "headers-malformed"),
        ({"webhook-timestamp": "1e9"}, WebhookHeadersMalformed, "headers-malformed"),
        ({"webhook-timestamp": "9" * 30}, WebhookHeadersMalformed, "headers-malformed"),
        ({"webhook-timestamp": "٣"}, WebhookHeadersMalformed, "headers-malformed"),
        ({"webhook-id": "msg.1"}, WebhookHeadersMalformed, "headers-malformed"),
        ({"WEBHOOK-ID": "msg_1"}, WebhookHeadersMalformed, "headers-malformed"),
        ({"webhook-signature": "v1,ü"}, WebhookSignatureMismatch, "signature-mismatch"),
        ({"webhook-id": "msg_2"}, WebhookSignatureMismatch, "signature-mismatch"),
    ],
)
def test_each_refusal_has_its_class_and_code(change, error, code):
    """A receiver's log tells a wrong secret from a proxy that drops headers."""
    changed = {name: value for name, value in {**headers(), **change}.items() if value is not None}
    with pytest.raises(error) as refused:
        verify_webhook(BODY, changed, SECRET, now=SENT)
    assert refused.value.code == code
    assert isinstance(refused.value, WebhookRefused)
    assert SECRET[6:] not in str(refused.value)


@pytest.mark.parametrize(
    ("later", "error"),
    [
        (timedelta(minutes=5), None),
        (timedelta(minutes=5, seconds=1), WebhookTooOld),
        (timedelta(minutes=-5), None),
        (timedelta(minutes=-5, seconds=-1), WebhookTooNew),
    ],
)
def test_clocks_may_differ_by_the_tolerance(later, error):
    """A replay an hour later is refused, a clock a little off is not."""
    if error is None:
        assert verify_webhook(BODY, headers(), SECRET, now=SENT + later)
    else:
        with pytest.raises(error):
            verify_webhook(BODY, headers(), SECRET, now=SENT + later)


def test_the_tolerance_can_be_chosen():
    """A queue in front of the receiver may need hours."""
    assert verify_webhook(BODY, headers(), SECRET, now=SENT + timedelta(hours=2), tolerance=timedelta(hours=3))
    with pytest.raises(WebhookTooOld):
        verify_webhook(BODY, headers(), SECRET, now=SENT + timedelta(seconds=2), tolerance=timedelta(seconds=1))


def test_a_forger_does_not_learn_what_the_clock_says():
    """Without the secret, an old and a wrong request get the same answer."""
    with pytest.raises(WebhookSignatureMismatch):
        verify_webhook(BODY + b" ", headers(), SECRET, now=SENT + timedelta(days=1))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"type":"a"}',
        b'{"type":1,"timestamp":"2026-03-01T12:00:00Z","data":{}}',
        b'{"type":"a","timestamp":"2026-03-01T12:00:00","data":{}}',
        b'{"type":"a","timestamp":"yesterday","data":{}}',
        b'{"type":"a","timestamp":5,"data":{}}',
        b'{"type":"a","timestamp":"2026-03-01T12:00:00Z","data":[]}',
        b"[" * 100_000,
    ],
    ids=lambda body: ascii(body[:40]),
)
def test_a_signed_body_that_is_no_event_is_malformed(body):
    """The sender is right, and yet the receiver gets an error that it can answer with 400."""
    with pytest.raises(WebhookBodyMalformed):
        verify_webhook(body, headers(body), SECRET, now=SENT)


def test_an_unusable_secret_is_a_mistake_of_the_receiver():
    """A variable that is not set must not look like a forged webhook."""
    for secret in (None, "", (), "whsec_short"):
        with pytest.raises(ConfigurationError):
            verify_webhook(BODY, headers(), secret, now=SENT)


@given(st.binary(max_size=300), st.dictionaries(st.sampled_from(list(headers())), st.text(max_size=60)))
def test_nothing_that_was_not_signed_passes_or_crashes(body, given_headers):
    """Any bytes and any headers end in a refusal."""
    with pytest.raises(WebhookRefused):
        verify_webhook(body, given_headers, SECRET, now=SENT)
