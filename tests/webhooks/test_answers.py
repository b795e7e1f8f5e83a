"""What an attempt reads of an answer."""

from __future__ import annotations

import gzip
import tracemalloc
from datetime import timedelta

import pytest

from tests.webhooks.answering import OK, sent
from tests.webhooks.conftest import listening, message, sending

pytestmark = pytest.mark.anyio


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
