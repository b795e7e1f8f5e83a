"""One attempt: what arrives, many attempts at once, and the sender's own mistakes."""

from __future__ import annotations

import asyncio
import logging
import sys
import tracemalloc
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raincheck.client import verify_webhook
from raincheck.core.errors import ConfigurationError, NotStarted
from raincheck.webhooks.deliver import HttpDeliverer
from tests.webhooks.answering import OK, dribbling, endlessly, never, sent
from tests.webhooks.conftest import SECRET, SENT_AT, message, receiving, sending

pytestmark = pytest.mark.anyio


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


# --- many at once --------------------------------------------------------------------------------------------------


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


# --- the sender's own mistakes -------------------------------------------------------------------------------------


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
