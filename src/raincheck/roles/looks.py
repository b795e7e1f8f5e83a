"""How long to rest between two looks into the store, while others write without pause."""

from __future__ import annotations

_REST = 9  # times as long as the look took: at most a tenth of the time is spent looking
_LONGEST = 0.01
_LONGEST_EACH = 0.001


def rest_after(took: float, *, watched: int = 1) -> float:
    """Return the seconds to rest after a look.

    A look is long where it reads much, or where the database and the processor were busy with something else. Only the
    first is load that a rest takes away, so what few readers wait for is bounded by their number.

    :param took: seconds that the look lasted.
    :param watched: how many operations and owners it looked for.
    """
    return min(_REST * took, _LONGEST + _LONGEST_EACH * watched)
