"""The clock that all machines of a fleet judge leases by."""

from __future__ import annotations

from datetime import timedelta

import pytest

from raincheck.stores.postgres.clock import DatabaseClock
from raincheck.testing.conformance.specimens import NOW

pytestmark = pytest.mark.anyio
SECOND = timedelta(seconds=1)


class Database:
    """A server with a clock of its own, some milliseconds away from this machine, whose clock is ``here``."""

    def __init__(self) -> None:
        self.here = 1000.0
        self.there = NOW
        self.trip = 0.002

    def monotonic(self) -> float:
        return self.here

    async def fetchval(self, _query: str):
        self.pass_(self.trip / 2)
        answer = self.there
        self.pass_(self.trip / 2)
        return answer

    def pass_(self, seconds: float) -> None:
        self.here += seconds
        self.there += timedelta(seconds=seconds)


@pytest.fixture
async def database(anyio_backend):
    """Provide a server."""
    return Database()


@pytest.fixture
async def clock(database):
    """Provide a clock that has looked once."""
    made = DatabaseClock(monotonic=database.monotonic)
    await made.look(database)
    return made


def wrong_by(clock: DatabaseClock, database: Database) -> timedelta:
    """Return how far the clock is from the database's."""
    return abs(clock.now() - database.there)


async def test_it_carries_the_database_time_on(clock, database) -> None:
    """Without asking."""
    database.pass_(4.5)
    assert wrong_by(clock, database) < SECOND / 100


@pytest.mark.parametrize("jump", [3600, -3600, 20])
async def test_it_follows_at_the_next_look_when_one_of_the_clocks_stood_still_or_was_set(clock, database, jump) -> None:
    """A machine that slept would give leases that have run out already, for a minute, and take over what is well."""
    database.there += timedelta(seconds=jump)
    database.trip = 0.004  # a slower answer than the first
    database.pass_(5)
    await clock.look(database)
    assert wrong_by(clock, database) < SECOND / 100


async def test_a_slow_answer_does_not_count(clock, database) -> None:
    """It may be wrong by half a round trip."""
    before = clock.now()
    database.trip = 3.0
    await clock.look(database)
    assert abs(clock.now() - before - 15 * SECOND) < SECOND / 100
    assert clock._trip == pytest.approx(0.002)
