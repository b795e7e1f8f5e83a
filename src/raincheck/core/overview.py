"""What an operator sees at a glance: frozen figures, as the stores count them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Times:
    """The median and the 95th percentile of how long runs took, in seconds (nearest rank); None without any."""

    p50: float | None = None
    p95: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Operations that finished, by how they ended. ``times`` are from the first start to the end."""

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    times: Times = Times()


@dataclass(frozen=True, slots=True, kw_only=True)
class KindFigures:
    """One kind: what is under way now, and what finished in the window."""

    kind: str
    queued: int = 0
    running: int = 0
    finished: Finished = Finished()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A store at one moment.

    :param queued: operations that are due and wait; ``scheduled`` are due later.
    :param oldest_due: since when the one that waits longest has been due.
    :param finished: of the whole window.
    :param buckets: the window in equal parts, oldest first, those without any left out: (start, figures).
    :param cut: whether more finished in the window than are counted; then the newest are.
    """

    queued: int
    scheduled: int
    running: int
    cancelling: int
    oldest_due: datetime | None
    finished: Finished
    buckets: tuple[tuple[datetime, Finished], ...]
    kinds: tuple[KindFigures, ...]
    cut: bool
