"""Durations, sizes and moments as people and the wire write them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raincheck.core.moments import milliseconds, moment_at, rfc3339
from raincheck.core.quantities import duration, size


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0", 0),
        ("300", 300),
        ("250ms", 0.25),
        ("1.5s", 1.5),
        ("5m", 300),
        ("5 m", 300),
        (" 30m ", 1800),
        ("2h", 7200),
        ("7d", 604_800),
        ("1w", 604_800),
        (0, 0),
        (1.5, 1.5),
        (timedelta(minutes=1), 60),
        ("36500d", 3_153_600_000),
    ],
)
def test_a_duration_is_read(written: timedelta | float | str, seconds: float) -> None:
    """Seconds, a number with a unit, or a timedelta."""
    assert duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    [
        *("", "m", "5x", "5 minutes", "-5s", "5m30s", "1e3", "½h", "5M", "inf", "nan", "9" * 40, "36501d"),
        *(-1, -0.1, math.inf, -math.inf, math.nan, 1e300, timedelta(seconds=-1), timedelta(days=36501)),
    ],
)
def test_another_form_of_duration_is_refused(written: timedelta | float | str) -> None:
    """With a message that shows the value."""
    with pytest.raises(ValueError, match=r"is not a (usable )?duration"):
        duration(written)


@given(st.text(max_size=40))
def test_no_text_makes_reading_a_duration_fail_otherwise(text: str) -> None:
    """The value comes from a request header."""
    try:
        found = duration(text)
    except ValueError:
        return
    assert timedelta(0) <= found <= timedelta(days=36500)


@pytest.mark.parametrize(
    ("written", "number"),
    [(1, 1), ("1", 1), ("1B", 1), ("1 kB", 1000), ("512MiB", 512 << 20), ("2GiB", 2 << 30), ("3MB", 3_000_000)],
)
def test_a_size_is_read(written: int | str, number: int) -> None:
    """Bytes, or a number with a unit."""
    assert size(written) == number


@pytest.mark.parametrize("written", ["", "0", "0B", "-1", "1.5MiB", "5mib", "5 TB", 0, -1])
def test_another_form_of_size_is_refused(written: int | str) -> None:
    """Nothing, and less than nothing, is no limit."""
    with pytest.raises(ValueError, match=r"is not a (usable )?size"):
        size(written)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_survives_its_milliseconds(moment: datetime) -> None:
    """What is below a millisecond is cut off, never rounded into the future."""
    kept = moment_at(milliseconds(moment))
    assert timedelta(0) <= moment - kept < timedelta(milliseconds=1)
    assert milliseconds(kept) == milliseconds(moment)


@given(st.datetimes(timezones=st.just(UTC)))
def test_the_wire_form_of_a_moment_reads_back(moment: datetime) -> None:
    """RFC 3339 in UTC with three decimals."""
    text = rfc3339(moment)
    assert len(text) == len("2026-01-31T12:00:00.000Z")
    assert datetime.fromisoformat(text) == moment_at(milliseconds(moment))


def test_the_order_of_moments_is_the_order_of_their_numbers() -> None:
    """Whatever the offset they were written with."""
    east = datetime(2026, 1, 31, 13, 0, tzinfo=timezone(timedelta(hours=2)))
    assert milliseconds(east) < milliseconds(datetime(2026, 1, 31, 12, 0, tzinfo=UTC))
