"""Gauges of the whole store are counted again and again, whatever happens once."""

from __future__ import annotations

import asyncio

import pytest

from raincheck.roles import census as census_module
from raincheck.roles.census import Census
from raincheck.stores.memory_overview import MemoryOverview
from raincheck.testing.conformance.specimens import NOW, submitted

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("trouble", [ZeroDivisionError(), KeyError("a bug")])
async def test_no_error_ends_the_counting(store, monkeypatch, caplog, trouble):
    """Readers that cannot wait would be told the last figures for ever, and nobody would know."""
    monkeypatch.setattr(census_module, "_PERIOD", 0.001)
    monkeypatch.setattr(census_module, "_COUNTS", 0.0)
    overview = MemoryOverview(store)
    count = overview.overview
    counted = asyncio.Event()

    async def once_broken(**wishes):
        monkeypatch.setattr(overview, "overview", count)
        counted.set()
        raise trouble

    monkeypatch.setattr(overview, "overview", once_broken)
    await submitted(store)
    census = Census(overview=overview, clock=lambda: NOW, kinds=["report"], periodic=True)
    await census.start()
    async with asyncio.timeout(5):
        await counted.wait()
        while not census.latest:
            await asyncio.sleep(0.001)
    assert "the queue could not be counted" in caplog.text
    await census.stop()
    assert census.latest == ()
