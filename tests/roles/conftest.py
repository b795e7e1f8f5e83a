"""What the role tests share: a clock that tests turn, and an open memory store."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from raincheck.stores.memory import MemoryStore
from raincheck.testing.conformance.specimens import NOW
from tests.roles.house import House


class Time:
    """A wall clock and a monotonic clock; ``pass_`` moves both, ``jump`` only the wall."""

    def __init__(self) -> None:
        self._now = NOW
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def pass_(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def jump(self, by: timedelta) -> None:
        self._now += by


@pytest.fixture
def time() -> Time:
    """Provide clocks that stand still until told."""
    return Time()


@pytest.fixture
async def store(anyio_backend) -> MemoryStore:
    """Provide an open memory store."""
    made = MemoryStore()
    await made.open()
    return made


@pytest.fixture
async def house(store, tmp_path):
    """Provide a runner with fake executors."""
    return House(store, tmp_path)
