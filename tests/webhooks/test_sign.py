"""Signatures, as the verifiers of receivers see them."""

from __future__ import annotations

import base64
import json
import secrets
from datetime import UTC, datetime, timedelta, timezone

import pytest
import standardwebhooks

from raincheck.client import verify_webhook
from raincheck.core.deliveries import Message
from raincheck.core.errors import ConfigurationError
from raincheck.webhooks.sign import Signer
from tests.readers import node
from tests.webhooks.verifiers import node_verifiers, python_verifiers


def new_secret():
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


OLD, NEW, OTHER = new_secret(), new_secret(), new_secret()
BODIES = {
    "plain": b'{"type":"operation.succeeded","timestamp":"2026-03-01T12:00:00.000Z","data":{"version":3}}',
    "not-ascii": '{"type":"operation.failed","timestamp":"2026-03-01T12:00:00Z","data":{"city":"東京 ü 🌧"}}'.encode(),
    "spaces": b'{ "type" : "a",\r\n\t"timestamp": "2026-03-01T12:00:00Z", "data": {} }\n',
    "escapes": rb'{"type":"a","timestamp":"2026-03-01T12:00:00Z","data":{"text":"\u2028\u0000\ud83c"}}',
}


def signed(body, using=OLD, *, message_id="msg_1", at=None):
    return Signer(using).headers(message_id=message_id, sent_at=at or datetime.now(UTC), body=body)


def changed(headers, name, value):
    return {**headers, f"webhook-{name}": value}


def tampered():
    """Yield name -> (secret, body, headers), each of which must be refused."""
    body = BODIES["not-ascii"]
    headers = signed(body)
    signature = headers["webhook-signature"]
    raw = bytearray(base64.b64decode(signature[3:]))
    raw[7] ^= 1
    flipped = base64.b64encode(raw).decode()
    seconds = int(headers["webhook-timestamp"])
    now = datetime.now(UTC)
    yield "another byte in the body", OLD, body.replace(b"failed", b"faiied"), headers
    yield "a byte more", OLD, body + b" ", headers
    yield "a byte less", OLD, body[:-1], headers
    yield "another body", OLD, BODIES["plain"], headers
    yield "an empty body", OLD, b"", headers
    yield "the body written anew", OLD, json.dumps(json.loads(body)).encode(), headers
    yield "another id", OLD, body, changed(headers, "id", "msg_2")
    yield "another time", OLD, body, changed(headers, "timestamp", str(seconds + 1))
    yield "the id and time moved", OLD, body, changed(changed(headers, "id", "msg"), "timestamp", str(seconds))
    yield "another secret", OTHER, body, headers
    yield "one bit of the signature", OLD, body, changed(headers, "signature", f"v1,{flipped}")
    yield "half a signature", OLD, body, changed(headers, "signature", signature[:20])
    yield "no signature", OLD, body, changed(headers, "signature", "")
    yield "an empty signature", OLD, body, changed(headers, "signature", "v1,")
    yield "another version", OLD, body, changed(headers, "signature", signature.replace("v1,", "v2,"))
    yield "an asymmetric version", OLD, body, changed(headers, "signature", signature.replace("v1,", "v1a,"))
    yield (
        "the signature of another message",
        OLD,
        body,
        changed(headers, "signature", signed(body, message_id="msg_2")["webhook-signature"]),
    )
    yield "no id", OLD, body, {name: value for name, value in headers.items() if name != "webhook-id"}
    yield "no time", OLD, body, {name: value for name, value in headers.items() if name != "webhook-timestamp"}
    yield "no headers", OLD, body, {}
    yield "a time in words", OLD, body, changed(headers, "timestamp", "today")
    yield "too old", OLD, body, signed(body, at=now - timedelta(minutes=6))
    yield "too new", OLD, body, signed(body, at=now + timedelta(minutes=6))


def genuine():
    """Yield name -> (secret, body, headers), each of which must be accepted."""
    now = datetime.now(UTC)
    for name, body in BODIES.items():
        yield f"body {name}", OLD, body, signed(body)
    body = BODIES["not-ascii"]
    yield "the old secret while it is changed", OLD, body, signed(body, (NEW, OLD))
    yield "the new secret while it is changed", NEW, body, signed(body, (NEW, OLD))
    yield "a clock four minutes late", OLD, body, signed(body, at=now - timedelta(minutes=4))
    yield "a clock four minutes early", OLD, body, signed(body, at=now + timedelta(minutes=4))
    yield "a moment of another zone", OLD, body, signed(body, at=now.astimezone(timezone(timedelta(hours=9))))
    yield "headers in capitals", OLD, body, {name.upper(): value for name, value in signed(body).items()}
    shortest, longest = (f"whsec_{base64.b64encode(secrets.token_bytes(size)).decode()}" for size in (24, 64))
    yield "the shortest secret", shortest, body, signed(body, shortest)
    yield "the longest secret", longest, body, signed(body, longest)


def ours(cases):
    """What our own verifier says, in the form of the others."""
    found = []
    for secret, body, headers in cases:
        try:
            verify_webhook(body, headers, secret)
            found.append("")
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


@pytest.fixture(scope="module")
def verifiers(tmp_path_factory):
    found = {"ours": ours} | python_verifiers()
    try:
        return found | node_verifiers(tmp_path_factory.mktemp("node"))
    except node.Missing as why:
        return found | {f"node-{library}": str(why) for library in ("standardwebhooks", "svix")}


@pytest.fixture(params=["ours", "python-standardwebhooks", "python-svix", "node-standardwebhooks", "node-svix"])
def verifier(request, verifiers):
    found = verifiers[request.param]
    if isinstance(found, str):
        pytest.skip(found)
    return found


def test_every_verifier_accepts_what_we_sign(verifier):
    """Bodies with any text, both secrets of a rotation, clocks that are a little off."""
    cases = list(genuine())
    refusals = verifier([case[1:] for case in cases])
    assert {name: why for (name, *_), why in zip(cases, refusals, strict=True) if why} == {}


def test_every_verifier_refuses_what_was_changed(verifier):
    """Body, id, time, signature and secret are bound together: none can be changed alone."""
    cases = list(tampered())
    assert len({name for name, *_ in cases}) >= 20
    refusals = verifier([case[1:] for case in cases])
    assert [name for (name, *_), why in zip(cases, refusals, strict=True) if not why] == []


def test_a_rotation_carries_one_signature_for_each_secret():
    """The newest comes first, separated by a space as the standard says."""
    both = signed(BODIES["plain"], (NEW, OLD), at=datetime(2026, 3, 1, tzinfo=UTC))["webhook-signature"].split(" ")
    alone = [
        signed(BODIES["plain"], secret, at=datetime(2026, 3, 1, tzinfo=UTC))["webhook-signature"]
        for secret in (NEW, OLD)
    ]
    assert both == alone


def test_the_time_of_another_zone_is_signed_as_utc():
    """The library takes the clock of any zone for UTC, nine hours off in Tokyo."""
    at = datetime(2026, 3, 1, 21, tzinfo=timezone(timedelta(hours=9)))
    body = BODIES["plain"]
    expected = standardwebhooks.Webhook(OLD).sign("msg_1", datetime(2026, 3, 1, 12, tzinfo=UTC), body.decode())
    headers = signed(body, at=at)
    assert headers["webhook-signature"] == expected
    assert headers["webhook-timestamp"] == str(int(at.timestamp()))


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("", "begins with 'whsec_'"),
        (None, "begins with 'whsec_'"),
        ("c2VjcmV0IHRoYXQgaXMgbG9uZyBlbm91Z2g=", "begins with 'whsec_'"),
        ("whsec_", "holds 0"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "holds 23"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "holds 65"),
        ("whsec_" + base64.b64encode(bytes(32)).decode().rstrip("="), "base64"),
        ("whsec_" + base64.urlsafe_b64encode(b"\xff" * 24).decode(), "base64"),
        ("whsec_not base64 at all, but long enough", "base64"),
        ("whsec_ünïcödé", "base64"),
    ],
)
def test_an_unusable_secret_is_refused_with_the_remedy_and_never_shown(secret, says):
    """Whoever reads the log learns what to do, and nothing of the secret."""
    with pytest.raises(ConfigurationError) as refused:
        Signer((OLD, secret))
    text = str(refused.value)
    assert says in text
    assert "openssl rand -base64 32" in text
    assert not secret or len(secret) < 8 or secret[6:] not in text
    assert OLD[6:] not in text


def test_no_secret_at_all_is_refused():
    """An unsigned webhook is never sent."""
    with pytest.raises(ConfigurationError, match="there is none"):
        Signer(())


def test_secrets_are_not_in_the_text_of_what_holds_them():
    """A log line or a traceback with these values tells no secret."""
    held = Message(id="msg_1", url="https://example.com", body=b"", sent_at=datetime.now(UTC), secrets=(OLD,))
    for each in (held, Signer(OLD)):
        assert OLD[6:20] not in repr(each)


@pytest.mark.parametrize("message_id", ["msg.1", "msg\n1", "mßg"])
def test_an_id_that_would_make_the_signed_text_ambiguous_is_refused(message_id):
    """``a.1.b`` could be the id ``a`` or ``a.1``."""
    with pytest.raises(ValueError, match="without a dot"):
        signed(b"{}", message_id=message_id)
