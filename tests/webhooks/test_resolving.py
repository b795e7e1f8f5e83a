"""The system's resolver, in threads of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from ipaddress import ip_address

import pytest

from raincheck.webhooks import resolving
from raincheck.webhooks.resolving import SystemResolver

pytestmark = pytest.mark.anyio


async def test_this_machine_is_found():
    """The system answers with addresses, not text."""
    assert ip_address("127.0.0.1") in await SystemResolver().resolve("localhost", 443)


async def test_slow_lookups_hold_up_nobody_else(monkeypatch):
    """Name servers that do not answer take neither the loop's own threads nor a lookup's place, once there is room."""
    release, waiting = threading.Event(), threading.Semaphore(0)

    def stall(host, port, **_options):
        if host == "stall.example":
            waiting.release()
            release.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    monkeypatch.setattr(resolving.socket, "getaddrinfo", stall)
    resolver = SystemResolver(most=40)
    stalled = [asyncio.create_task(resolver.resolve("stall.example", 443)) for _ in range(39)]
    try:
        await asyncio.sleep(0)
        assert await asyncio.to_thread(waiting.acquire, timeout=10)  # the loop's threads are free
        assert await resolver.resolve("quick.example", 443) == [ip_address("192.0.2.1")]
        assert not any(task.done() for task in stalled)
    finally:
        release.set()
        await asyncio.gather(*stalled)


async def test_a_lookup_that_was_given_up_frees_its_place_when_it_ends(monkeypatch):
    """A time-out cannot stop the thread; its place is counted until the system answers, and then is free."""
    release = threading.Event()

    def stall(host, port, **_options):
        release.wait(30)
        return []

    monkeypatch.setattr(resolving.socket, "getaddrinfo", stall)
    resolver = SystemResolver(most=1)
    given_up = asyncio.create_task(resolver.resolve("a.example", 443))
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    second = asyncio.create_task(resolver.resolve("b.example", 443))
    await asyncio.sleep(0)
    assert not second.done()
    release.set()
    assert await second == []


async def test_an_unknown_name_raises(monkeypatch):
    """The error of the system reaches the one who asked."""

    def fail(*_arguments, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(resolving.socket, "getaddrinfo", fail)
    with pytest.raises(socket.gaierror, match="not known"):
        await SystemResolver().resolve("gone.example", 443)
