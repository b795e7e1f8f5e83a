"""Priorities of operations at brokers, which know a few levels only."""

from __future__ import annotations

HIGHEST_LEVEL = 9
_LEVEL_OF_ZERO = 4


def level_of(priority: int) -> int:
    """Return the level of a priority, 0 to 9, the highest first: 4 for the priority 0.

    So priorities from -4 to 5 are told apart, and those beyond count as these.
    """
    return max(0, min(HIGHEST_LEVEL, priority + _LEVEL_OF_ZERO))
