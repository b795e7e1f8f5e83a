"""Moments: RFC 3339 text on the wire, whole milliseconds in a store, aware UTC datetimes in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def rfc3339(moment: datetime) -> str:
    """Return a moment as the wire shows it: UTC with milliseconds, such as ``2026-01-31T12:00:00.000Z``."""
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def milliseconds(moment: datetime) -> int:
    """Return the whole milliseconds since 1970."""
    return (moment - EPOCH) // _MILLISECOND


def moment_at(milliseconds: int) -> datetime:
    """Return the moment of a number of milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=milliseconds)
