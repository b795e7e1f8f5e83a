"""When a failed attempt may be tried again, and after how long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raincheck.core.retry import Backoff, Retry

CHANCES = st.floats(min_value=0, max_value=1, exclude_max=True)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (9, 256), (10, 300), (1000, 300)])
def test_waits_double_up_to_the_longest(failures: int, seconds: float) -> None:
    """A chance of a half is the middle of the spread."""
    assert Backoff().wait(failures, chance=0.5) == timedelta(seconds=seconds)


@given(st.integers(min_value=1, max_value=10**9), CHANCES)
def test_jitter_stays_within_its_share(failures: int, chance: float) -> None:
    """However often it failed."""
    middle = Backoff(jitter=0).wait(failures, chance=chance)
    assert middle * 0.8 <= Backoff(jitter=0.2).wait(failures, chance=chance) <= middle * 1.2


def test_a_backoff_takes_durations_as_people_write_them() -> None:
    """Texts and timedeltas, as everywhere."""
    backoff = Backoff(first="5s", factor=3, longest=timedelta(minutes=1), jitter=0)
    assert [backoff.wait(n, chance=0).total_seconds() for n in (1, 2, 3, 4)] == [5, 15, 45, 60]


@pytest.mark.parametrize(
    "fields", [{"first": -1}, {"longest": "soon"}, {"factor": 0.9}, {"jitter": -0.1}, {"jitter": 1.1}]
)
def test_a_backoff_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    """When it is written, not when the first attempt fails."""
    with pytest.raises(ValueError, match=r"Backoff|duration"):
        Backoff(**fields)


@pytest.mark.parametrize(
    ("backoff", "seconds"),
    [(2, 2), (0.5, 0.5), ("3s", 3), (timedelta(seconds=4), 4), (lambda failures: failures * 10, 30)],
)
def test_a_retry_waits_as_it_says(backoff: Any, seconds: float) -> None:
    """Fixed, or by a function of the failures."""
    assert Retry(attempts=5, backoff=backoff).wait(3, chance=0.9) == timedelta(seconds=seconds)


def test_a_retry_without_backoff_doubles() -> None:
    """The default grows, so that what fails for an hour is not tried a thousand times."""
    assert Retry(attempts=3).wait(2, chance=0.5) == timedelta(seconds=2)


@pytest.mark.parametrize("attempts", [0, -1, True, 1.5, "3", 2**31])
def test_attempts_that_are_no_count_are_refused(attempts: Any) -> None:
    """The first try counts too."""
    with pytest.raises(ValueError, match="at least 1"):
        Retry(attempts=attempts)


def test_a_backoff_that_is_no_duration_is_refused() -> None:
    """When it is written."""
    with pytest.raises(ValueError, match="duration"):
        Retry(backoff="soon")


@pytest.mark.parametrize("on", [(ValueError(),), ("ValueError",), (int,)])
def test_what_is_no_exception_class_cannot_be_retried_on(on: Any) -> None:
    """An instance would never match."""
    with pytest.raises(TypeError, match="exception classes"):
        Retry(on=on)


@pytest.mark.parametrize("factor", [2.0, 1e9, 1e300])
def test_a_steep_backoff_never_overflows(factor) -> None:
    """However often it has failed, the wait is the longest one."""
    assert Backoff(factor=factor, longest=60, jitter=0).wait(5000, chance=0.5) == timedelta(seconds=60)
