"""What a process does at SIGTERM beside what it did before."""

from __future__ import annotations

import asyncio
import signal

import pytest

from raincheck.shutdown import chained_signals

pytestmark = pytest.mark.anyio


@pytest.fixture
def handler():
    """Set a handler of SIGTERM for the time of a test, and return what sets it."""
    before = signal.getsignal(signal.SIGTERM)
    yield lambda wanted: signal.signal(signal.SIGTERM, wanted)
    signal.signal(signal.SIGTERM, before)


async def test_a_signal_is_told_and_the_handler_before_is_called(handler) -> None:
    """Which is back at the end."""
    told, called = asyncio.Event(), []

    def before(number, frame):
        called.append(number)

    handler(before)
    with chained_signals(told.set):
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(told.wait(), 5)
    assert called == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


async def test_an_ignored_signal_stays_ignored(handler) -> None:
    """A process that lives on must not refuse every submit from then on."""
    handler(signal.SIG_IGN)
    told = []
    with chained_signals(lambda: told.append("drain")):
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    assert told == []


async def test_a_handler_outside_of_python_stays_in_place(monkeypatch) -> None:
    """It cannot be called from here, so in its place the process would hear SIGTERM no more."""
    put = []
    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    monkeypatch.setattr(signal, "signal", lambda *wish: put.append(wish))
    with chained_signals(list):
        pass
    assert put == []
