"""Durations and sizes as people write them: ``"30m"``, ``"512MiB"``."""

from __future__ import annotations

import math
import re
from datetime import timedelta

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?")
_SECONDS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB|kB|MB|GB)?")
_BYTES = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_LONGEST = timedelta(days=36500)
LARGEST_COUNT = 2**31 - 1
"""Priorities and counts are whole numbers that every store and engine can keep."""


def duration(value: timedelta | float | str) -> timedelta:
    """Return a duration from seconds, a text such as ``"30m"``, or a timedelta.

    :raises ValueError: negative, not finite, longer than a century, or of another form.
    """
    if isinstance(value, timedelta):
        found = value
    elif isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None or len(value) > 32:  # noqa: PLR2004
            msg = f"{value!r} is not a duration; write seconds or a number with ms, s, m, h, d or w, such as '30m'"
            raise ValueError(msg)
        found = _from_seconds(float(match[1]) * _SECONDS[match[2]])
    else:
        found = _from_seconds(float(value))
    if not timedelta(0) <= found <= _LONGEST:
        msg = f"{value!r} is not a usable duration; it must lie between 0 and 100 years"
        raise ValueError(msg)
    return found


def _from_seconds(seconds: float) -> timedelta:
    if not math.isfinite(seconds) or abs(seconds) > _LONGEST.total_seconds():
        msg = f"{seconds!r} seconds is not a usable duration; it must lie between 0 and 100 years"
        raise ValueError(msg)
    return timedelta(seconds=seconds)


def size(value: int | str) -> int:
    """Return a number of bytes from an int or a text such as ``"512MiB"``.

    :raises ValueError: not positive or of another form.
    """
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            msg = f"{value!r} is not a size; write bytes or a number with KiB, MiB, GiB, kB, MB or GB, such as '512MiB'"
            raise ValueError(msg)
        value = int(match[1]) * _BYTES[match[2]]
    if value <= 0:
        msg = f"{value!r} is not a usable size; it must be at least one byte"
        raise ValueError(msg)
    return value
