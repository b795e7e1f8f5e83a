"""Moments: RFC 3339 text on the wire, whole milliseconds in a store, aware UTC datetimes in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def rfc3339(moment: datetime) -> str:
    """Return a moment as the wire shows it: UTC with milliseconds, such as ``2026-01-31T12:00:00.000Z``."""
    seconds, rest = divmod(milliseconds(moment), 1000)
    return f"{_second(seconds)}.{rest:03}Z"


# What is shown was mostly written just now, so moments share their seconds. `isoformat` takes twice as long as this.
@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return moment_at(1000 * seconds).isoformat()[:-6]


def milliseconds(moment: datetime) -> int:
    """Return the whole milliseconds since 1970."""
    return (moment - EPOCH) // _MILLISECOND


def moment_at(milliseconds: int) -> datetime:
    """Return the moment of a number of milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=milliseconds)
