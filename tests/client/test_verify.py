"""The receiver's verifier: what it accepts from others' signers, and how it says no."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import sys
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
from raincheck.webhooks.sign import Signer

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


# --- beside the package that the sender signs with (docs/decisions/0018) ------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="."), min_size=1, max_size=40)


def theirs(body, given_headers, secret=SECRET):
    """What the package finds: True, False, or the exception that it does not promise."""
    try:
        standardwebhooks.Webhook(secret).verify(body, given_headers)
    except standardwebhooks.WebhookVerificationError:
        return False
    except Exception as error:
        return type(error).__name__
    return True


def ours(body, given_headers, secret=SECRET):
    try:
        verify_webhook(body, given_headers, secret)
    except WebhookRefused:
        return False
    return True


@given(
    message_id=IDS,
    data=st.dictionaries(st.text(max_size=10), JSON, max_size=3),
    key=st.binary(min_size=24, max_size=64),
)
def test_both_accept_what_either_signs(message_id, data, key):
    """Any id, any content, any key: the package's signature and the sender's are the same, and both verify."""
    secret, sent = "whsec_" + base64.b64encode(key).decode(), datetime.now(UTC)
    event = {"type": "operation.succeeded", "timestamp": "2026-03-01T12:00:00Z", "data": data}
    body = json.dumps(event, ensure_ascii=False).encode("utf-8", "replace")
    by_package = headers(body, sent=sent, secret=secret, message_id=message_id)
    assert Signer(secret).headers(message_id=message_id, sent_at=sent, body=body) == by_package
    assert (ours(body, by_package, secret), theirs(body, by_package, secret)) == (True, True)


@given(place=st.integers(0, len(BODY) - 1), flip=st.integers(1, 127), part=st.sampled_from(["body", *headers()]))
def test_both_refuse_any_changed_character(place, flip, part):
    """One character of the body, the id, the time or the signature."""
    body, changed = BODY, headers(sent=datetime.now(UTC))
    if part == "body":
        body = BODY[:place] + bytes([BODY[place] ^ flip]) + BODY[place + 1 :]
    else:
        text = changed[part]
        place %= len(text)
        changed[part] = text[:place] + chr(ord(text[place]) ^ flip) + text[place + 1 :]
    assert ours(body, changed) is False
    if part != "webhook-signature":  # of which the package skips what is not base64, as the next test says
        assert theirs(body, changed) is not True


def _fraction(given_headers):
    return {**given_headers, "webhook-timestamp": given_headers["webhook-timestamp"] + ".9"}


def _signature(change):
    return lambda given_headers: {**given_headers, "webhook-signature": change(given_headers["webhook-signature"])}


@pytest.mark.parametrize(
    ("body", "change", "package", "here"),
    [
        (BODY, _signature(lambda right: f"garbage {right}"), "ValueError", True),
        (BODY, _signature(lambda _: "v1,a"), "Error", False),
        (b"\xff", lambda given_headers: given_headers, "UnicodeDecodeError", False),
        (b"no json", lambda given_headers: given_headers, "JSONDecodeError", False),
        (BODY, _fraction, True, False),
        (BODY, _signature(lambda right: f"v1,{right[3:9]}!*{right[9:]}"), True, False),
        (BODY, lambda given_headers: {"Webhook-Id": "msg_0", **given_headers}, True, False),
    ],
    ids=[
        "a part without a comma",
        "no base64",
        "no UTF-8",
        "no JSON",
        "a fraction",
        "noise in base64",
        "a header twice",
    ],
)
def test_where_the_package_differs(body, change, package, here):
    """The reasons to verify without it. One that fails is gone: look at the decision again."""
    sent = datetime.now(UTC)
    changed = change(headers(body if body.isascii() else BODY, sent=sent))
    assert (theirs(body, changed), ours(body, changed)) == (package, here)


def test_the_package_tells_a_forger_the_clock_first():
    """Its time is judged before its signature; ours after, see above."""
    forged = headers(BODY + b" ")
    with pytest.raises(standardwebhooks.WebhookVerificationError, match="too old"):
        standardwebhooks.Webhook(SECRET).verify(BODY, forged)


def test_verifying_needs_no_package():
    """A receiver installs no extra: neither the sender's package nor an HTTP client is imported."""
    program = (
        "import sys; from raincheck.client import verify_webhook; "
        "assert not {'standardwebhooks', 'httpx2', 'httpcore2', 'idna', 'fastapi'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
