"""One attempt against receivers of every kind."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import ssl
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raincheck.client import verify_webhook
from raincheck.core.errors import ConfigurationError, NotStarted
from raincheck.webhooks.deliver import HttpDeliverer
from tests.webhooks.conftest import SECRET, SENT_AT, Names, listening, message, receiving, sending

pytestmark = pytest.mark.anyio
SHORT = timedelta(seconds=0.3)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def never(reader, writer):
    """Answer nothing and keep the connection."""
    await asyncio.Event().wait()


def endlessly(start, piece):
    """Answer without an end, as fast as the sender takes it."""

    async def answer(reader, writer):
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()

    return answer


def dribbling(start, piece):
    """Answer without an end, a few bytes at a time."""

    async def answer(reader, writer):
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)

    return answer


async def sent(answer, *, whole=timedelta(seconds=10), **changes):
    """Make one attempt at a receiver."""
    async with receiving(answer) as receiver, sending(whole=whole) as deliverer:
        return await deliverer.send(message(receiver.url, **changes))


# --- what arrives ---------------------------------------------------------------------------------------------


async def test_a_receiver_gets_one_signed_post(deliverer):
    """The body arrives as it is, with the headers of Standard Webhooks, and verifies."""
    body = '{"type": "operation.succeeded", "timestamp": "2026-03-01T12:00:00.000Z", "data": {"id": "ö"}}'.encode()
    async with receiving(b"HTTP/1.1 204 No Content\r\n\r\n") as receiver:
        attempt = await deliverer.send(message(receiver.url + "?a=b&ü=é", body=body))
    assert (attempt.status, attempt.failure) == (204, None), attempt
    head, _, received = receiver.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ") for line in lines)}
    assert first == "POST /hooks?a=b&%C3%BC=%C3%A9 HTTP/1.1"
    assert received == body
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("Raincheck/")
    event = verify_webhook(received, headers, SECRET, now=SENT_AT)
    assert (event.id, event.type, event.data, event.sent_at) == ("msg_1", "operation.succeeded", {"id": "ö"}, SENT_AT)


# --- answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 299, 302, 304, 400, 401, 404, 410, 413, 429, 500, 503, 599, 999])
async def test_the_status_of_the_answer_is_the_attempts(status):
    """Every status counts as an answer; what it means is decided elsewhere."""
    attempt = await sent(f"HTTP/1.1 {status} Told\r\nContent-Length: 4\r\n\r\nbody".encode())
    assert (attempt.status, attempt.failure) == (status, None)
    assert attempt.excerpt == ("" if status == 304 else "body")
    assert timedelta(0) < attempt.latency < timedelta(seconds=10)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("120", timedelta(minutes=2)),
        ("0", timedelta(0)),
        (" 7 ", timedelta(seconds=7)),
        ("9" * 18, timedelta(days=365)),
        ("9" * 300, None),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
        ("soon", None),
        ("", None),
        ("Sun, 01 Mar 2026 12:02:00 GMT", timedelta(minutes=2)),
        ("Sunday, 01-Mar-26 12:02:00 GMT", timedelta(minutes=2)),
        ("Sun Mar  1 12:02:00 2026", timedelta(minutes=2)),
        ("Sun, 01 Mar 2026 11:00:00 GMT", timedelta(0)),
        ("Sun, 01 Mar 9999 11:00:00 GMT", timedelta(days=365)),
        ("Sun, 99 Mar 2026 12:02:00 GMT", None),
        ("Sun, 01 Mar 2026 12:02:00 +9999999", None),
    ],
)
async def test_retry_after_is_read_as_seconds_or_as_a_date(header, expected):
    """Each form of RFC 9110 §5.6.7; what cannot be read is as if it were absent."""
    attempt = await sent(f"HTTP/1.1 503 Later\r\nRetry-After: {header}\r\nContent-Length: 0\r\n\r\n".encode())
    assert attempt.status == 503
    if expected is None:
        assert attempt.retry_after is None
    else:  # a date counts from the end of the attempt
        assert expected - timedelta(seconds=5) <= attempt.retry_after <= expected


async def test_the_excerpt_is_one_safe_line():
    """It is shown in terminals and pages: no escape sequence, forged line or reversed text survives."""
    body = "a\x1b[31mred\x00\r\nnext\t\u202egnp.exe\u2028z\ud7ff".encode() + b"\xff" + b"x" * 5000
    attempt = await sent(b"HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n" + body)
    assert attempt.excerpt.startswith("a\ufffd[31mred\ufffd next \ufffdgnp.exe\ufffdz")
    assert len(attempt.excerpt) == 500
    assert attempt.excerpt.isprintable()


async def test_a_compressed_bomb_is_not_inflated():
    """Ten megabytes in ten kilobytes: what is compressed is neither inflated nor shown."""
    bomb = gzip.compress(bytes(10 << 20))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    tracemalloc.start()
    try:
        attempt = await sent(head + bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (attempt.status, attempt.excerpt) == (200, "")
    assert "compressed (gzip)" in attempt.detail
    assert peak < 2 << 20


async def test_informational_answers_come_before_the_real_one():
    """103 Early Hints and 100 Continue are no answers."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    assert (await sent(early + OK)).status == 200


async def test_a_receiver_that_answers_before_it_reads_is_heard():
    """It refuses by the headers alone, while the body is still on its way."""

    async def refuse(reader, writer):
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.write_eof()
        while await reader.read(65536):
            pass

    async with listening(refuse) as port, sending() as deliverer:
        attempt = await deliverer.send(message(f"http://127.0.0.1:{port}/", body=b" " * (8 << 20)))
    assert attempt.status == 413, attempt


# --- answers that do not end, or are none ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        never,
        dribbling(b"", b"H"),
        dribbling(b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        dribbling(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["silent", "no status", "headers", "informational"],
)
async def test_a_receiver_that_takes_too_long_is_a_timeout(answer):
    """The limit is one of the whole attempt, so a byte now and then does not extend it."""
    attempt = await sent(answer, whole=SHORT)
    assert (attempt.status, attempt.failure) == (None, "timeout")
    assert SHORT <= attempt.latency < SHORT * 10


@pytest.mark.parametrize(
    "answer",
    [
        dribbling(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", b"x"),
        dribbling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        dribbling(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
    ids=["sized", "chunked", "until close"],
)
async def test_a_status_counts_though_the_body_takes_too_long(answer):
    """The receiver has said what became of the webhook; to send it again would be wrong."""
    attempt = await sent(answer, whole=SHORT)
    assert (attempt.status, attempt.failure) == (200, None)
    assert attempt.detail == "the answer took too long"
    assert set(attempt.excerpt) == {"x"}


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n", b"x" * 4096),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n", b"x" * 4096),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 500),
    ],
    ids=["until close", "sized", "chunks", "one chunk", "tiny chunks"],
)
async def test_an_endless_body_is_cut_off(start, piece):
    """Its status counts; of the body at most 64 KiB are read, and then the receiver sees the connection closed."""
    answer = endlessly(start, piece)
    attempt = await sent(answer)
    assert (attempt.status, attempt.failure) == (200, None)
    assert attempt.detail in ("the answer is longer than 65536 bytes", "the answer was cut off")
    assert attempt.excerpt == "x" * 499 + "…"


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: value\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a" * 4096),
        (b"HTTP/1.1 200 ", b"a" * 4096),
        (b"", b"\r\n" * 2048),
        (b"", b"\x00" * 4096),
    ],
    ids=["informational", "headers", "one header", "reason", "empty lines", "zeros"],
)
async def test_an_endless_beginning_is_malformed(start, piece):
    """What never comes to a status is given up after a bounded number of bytes, not at the time limit."""
    attempt = await sent(endlessly(start, piece))
    assert (attempt.status, attempt.failure) == (None, "malformed-answer"), attempt
    assert attempt.detail


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"220 mail.example ESMTP\r\n",
        b"<html>HTTP/0.9</html>\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 OK 200\r\n\r\n",
        b"HTTP/1.1 099 Low\r\n\r\n",
        b"HTTP/1.1 1000 High\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNull: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00",
        b"\xff\xfe\xfd\r\n\r\n",
    ],
    ids=ascii,
)
async def test_what_is_not_http_is_malformed(answer):
    """The operator reads so, instead of a stack trace."""
    attempt = await sent(answer)
    assert (attempt.status, attempt.failure) == (None, "malformed-answer"), attempt
    assert attempt.detail.isprintable()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthree",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthree\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthree\r\nZZ\r\n",
    ],
    ids=["sized", "chunked", "bad chunk"],
)
async def test_a_status_counts_though_the_body_breaks_off(answer):
    """The receiver has said what became of the webhook."""
    attempt = await sent(answer)
    assert (attempt.status, attempt.detail) == (200, "the answer was cut off")


async def test_an_upgrade_that_nobody_asked_for_is_malformed():
    """Nothing else than HTTP is spoken over the connection."""
    attempt = await sent(b"HTTP/1.1 101 Switching\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\nhello")
    assert (attempt.status, attempt.failure) == (None, "malformed-answer")


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
async def test_a_receiver_that_ends_the_connection_is_unreachable(reset):
    """It took the request and said nothing."""

    async def go_away(reader, writer):
        if reset:
            linger = (1).to_bytes(4, sys.byteorder) + bytes(4)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    attempt = await sent(go_away)
    assert (attempt.status, attempt.failure) == (None, "unreachable")
    assert attempt.detail == "the connection ended before an answer came"


async def test_a_closed_port_is_unreachable(deliverer):
    """The detail names the address and what the system said."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    attempt = await deliverer.send(message(f"http://127.0.0.1:{port}/"))
    assert attempt.failure == "unreachable"
    assert f"port {port}" in attempt.detail
    assert "127.0.0.1" in attempt.detail


async def test_an_unknown_name_is_unresolved():
    """A name that leads nowhere today may lead somewhere tomorrow, so the code differs from a refusal."""
    async with sending(resolver=Names({})) as deliverer:
        attempt = await deliverer.send(message("http://gone.example/"))
    assert (attempt.failure, attempt.detail) == ("unresolved", "the host's name is not known: no such name")


async def test_a_name_server_that_never_answers_is_a_timeout():
    """The lookup is part of the attempt."""

    class Silent:
        async def resolve(self, host, port):
            await asyncio.Event().wait()

    async with sending(resolver=Silent(), whole=SHORT) as deliverer:
        attempt = await deliverer.send(message("http://slow.example/"))
    assert attempt.failure == "timeout"


async def test_an_address_that_does_not_answer_leaves_time_for_the_next_one(monkeypatch):
    """The second address gets the webhook although the first takes no connection."""
    connect = asyncio.get_running_loop().create_connection

    async def stall(factory, host=None, port=None, **options):
        if host == "127.0.0.2":
            await asyncio.Event().wait()
        return await connect(factory, host, port, **options)

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", stall)
    async with receiving(OK) as receiver:
        names = Names({"two.example": ["127.0.0.2", "127.0.0.1"]})
        async with sending(resolver=names, whole=SHORT * 3) as deliverer:
            attempt = await deliverer.send(message(f"http://two.example:{receiver.port}/"))
    assert attempt.status == 200, attempt


# --- certificates ---------------------------------------------------------------------------------------------


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


# --- many at once ---------------------------------------------------------------------------------------------


async def test_bad_receivers_do_not_hold_up_good_ones():
    """Sixty that stall or flood, and one that answers: it is done before the others' limit, and memory stays small."""
    floods = endlessly(b"HTTP/1.1 500 No\r\n\r\n", b"x" * 65536)
    async with (
        receiving(never) as silent,
        receiving(dribbling(b"", b"H")) as slow,
        receiving(floods) as flood,
        receiving(OK) as good,
        sending(whole=timedelta(seconds=2)) as deliverer,
    ):
        finished = []

        async def send(receiver):
            attempt = await deliverer.send(message(receiver.url))
            finished.append(receiver)
            return attempt

        tracemalloc.start()
        try:
            bad = [asyncio.create_task(send(each)) for _ in range(20) for each in (silent, slow, flood)]
            await asyncio.sleep(0)
            attempt = await send(good)
            assert attempt.status == 200
            assert silent not in finished
            assert slow not in finished
            ends = await asyncio.gather(*bad)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert {each.failure or each.status for each in ends} == {"timeout", 500}
    assert peak < 32 << 20


async def test_a_cancelled_attempt_ends_at_once_and_closes_its_connection():
    """A courier that stops does not wait for a receiver."""
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def wait(reader, writer):
        arrived.set()
        await reader.read()
        ended.set()

    async with receiving(wait) as receiver, sending() as deliverer:
        task = asyncio.create_task(deliverer.send(message(receiver.url)))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(ended.wait(), 10)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=100).map(b"HTTP/1.1 200 OK\r\n".__add__),
        st.binary(max_size=100).map(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".__add__),
        st.binary(max_size=50).map(lambda value: b"HTTP/1.1 503 No\r\nRetry-After: " + value + b"\r\n\r\n"),
    )
)
@settings(deadline=None, max_examples=150)
def test_no_answer_makes_an_attempt_raise(answer):
    """Whatever bytes come, the attempt has a status or a failure that is known."""

    async def attempt():
        return await sent(answer)

    found = asyncio.run(attempt())
    assert (found.status is None) != (found.failure is None)
    assert found.failure in (None, "malformed-answer", "unreachable")


# --- the sender's own mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"secrets": ("whsec_dG9vIHNob3J0",)}, "24 to 64 bytes"),
        ({"secrets": ()}, "there is none"),
        ({"allow": ("example.com",)}, "allow='example.com'"),
        ({"id": "msg.1"}, "without a dot"),
        ({"body": b"\xff"}, "utf-8"),
    ],
    ids=["secret", "no secret", "pattern", "id", "body"],
)
async def test_a_message_that_cannot_be_signed_is_misconfigured(changes, says):
    """Nothing is sent, the courier goes on with others, and the operator reads what to change."""
    async with receiving(OK) as receiver, sending() as deliverer:
        attempt = await deliverer.send(message(receiver.url, **changes))
    assert (attempt.failure, receiver.requests) == ("misconfigured", [])
    assert says in attempt.detail
    assert "dG9vIHNob3J0" not in attempt.detail


async def test_a_defect_is_logged_and_ends_one_attempt_only(caplog):
    """An error that nobody foresaw is not hidden, and does not end the courier."""

    class Broken:
        async def resolve(self, host, port):
            raise ZeroDivisionError("a defect")

    with caplog.at_level(logging.ERROR, "raincheck.webhooks"):
        async with sending(resolver=Broken()) as deliverer:
            attempt = await deliverer.send(message("http://any.example/"))
    assert (attempt.failure, attempt.detail) == ("unexpected", "ZeroDivisionError: a defect")
    assert caplog.records[0].exc_info[0] is ZeroDivisionError


async def test_nothing_is_sent_before_start_and_after_stop():
    """The context that checks certificates exists between them only."""
    deliverer = HttpDeliverer()
    with pytest.raises(NotStarted):
        await deliverer.send(message("http://127.0.0.1:9/"))
    await deliverer.start()
    await deliverer.stop()
    with pytest.raises(NotStarted):
        await deliverer.send(message("http://127.0.0.1:9/"))


@pytest.mark.parametrize("package", ["httpcore2", "standardwebhooks", "idna"])
async def test_a_missing_package_is_named_by_its_extra(monkeypatch, package):
    """The application that configures webhooks learns at its start what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=r"pip install 'raincheck\[webhooks\]'"):
        await HttpDeliverer().start()
