"""Answers that do not end, or are none: each attempt ends all the same, with what it was."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest

from tests.webhooks.answering import OK, SHORT, dribbling, endlessly, never, sent
from tests.webhooks.conftest import Names, message, receiving, sending

pytestmark = pytest.mark.anyio


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
