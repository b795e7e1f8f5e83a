"""A receiver proves who it is before it gets anything."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta

import pytest

from raincheck.webhooks.deliver import HttpDeliverer
from tests.webhooks.answering import OK, SHORT
from tests.webhooks.conftest import Names, listening, message, receiving, sending

pytestmark = pytest.mark.anyio


async def _tls_attempt(tls, *, trusted=None, host="hooks.example", whole=timedelta(seconds=10)):
    context = ssl.create_default_context()
    if trusted is not None:
        trusted.configure_trust(context)
    async with receiving(OK, tls=tls) as receiver:
        options = {"resolver": Names({host: ["127.0.0.1"]}), "ssl_context": context, "whole": whole}
        async with sending(**options) as deliverer:
            attempt = await deliverer.send(message(f"https://{host}:{receiver.port}/"))
    return attempt, receiver


@pytest.fixture(scope="module")
def authority():
    trustme = pytest.importorskip("trustme")
    return trustme.CA()


def _serving(authority, *names, **options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **options).configure_cert(context)
    return context


async def test_the_receiver_proves_the_name_of_the_url(authority):
    """The connection goes to an address, but certificate, SNI and Host are those of the name."""
    context = _serving(authority, "hooks.example")
    asked = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    attempt, receiver = await _tls_attempt(context, trusted=authority)
    assert (attempt.status, attempt.failure) == (200, None), attempt
    assert asked == ["hooks.example"]
    assert f"Host: hooks.example:{receiver.port}\r\n".encode() in receiver.requests[0]


async def test_the_address_in_a_url_is_proved_too(authority):
    """A certificate may be for an address."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with receiving(OK, tls=_serving(authority, "127.0.0.1")) as receiver, sending(ssl_context=context) as sender:
        attempt = await sender.send(message(f"https://127.0.0.1:{receiver.port}/"))
    assert attempt.status == 200, attempt


async def test_bad_certificates_are_refused(authority):
    """Of another name, of an unknown authority, or out of date: nothing is sent, and the operator learns why."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    cases = [
        (_serving(authority, "other.example"), authority, "Hostname mismatch"),
        (_serving(authority, "127.0.0.1"), authority, "not valid for 'hooks.example'"),
        (_serving(authority, "hooks.example"), None, "unable to get local issuer certificate"),
        (_serving(authority, "hooks.example", not_after=past), authority, "expired"),
    ]
    for tls, trusted, says in cases:
        attempt, receiver = await _tls_attempt(tls, trusted=trusted)
        assert (attempt.status, attempt.failure) == (None, "tls"), attempt
        assert says in attempt.detail
        assert receiver.requests == []


async def test_a_receiver_without_tls_is_refused():
    """An https URL never falls back to plain text."""
    for answer in (b"HTTP/1.1 200 OK\r\n\r\n", b""):
        got = []

        async def plain(reader, writer, answer=answer, got=got):
            got.append(await reader.read(4096))
            writer.write(answer)

        async with listening(plain) as port, sending() as deliverer:
            attempt = await deliverer.send(message(f"https://127.0.0.1:{port}/"))
        assert attempt.failure == "tls", attempt
        assert b"webhook-id" not in got[0]


async def test_a_stalled_handshake_is_a_timeout_and_closes_the_connection():
    """A receiver cannot keep the sender's connections by never finishing the handshake."""
    ended = asyncio.Event()

    async def stall(reader, writer):
        while await reader.read(4096):
            pass
        ended.set()

    async with listening(stall) as port, sending(whole=SHORT) as deliverer:
        attempt = await deliverer.send(message(f"https://127.0.0.1:{port}/"))
        await asyncio.wait_for(ended.wait(), 10)
    assert attempt.failure == "timeout"


async def test_the_systems_authorities_are_trusted_by_default():
    """A deliverer that was given none checks certificates and names."""
    deliverer = HttpDeliverer()
    await deliverer.start()
    context = deliverer._ssl_context
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    await deliverer.stop()
