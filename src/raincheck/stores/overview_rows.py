"""The counts that a database answers with, put together as an overview."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raincheck.core.moments import moment_at
from raincheck.core.overview import Finished, KindFigures, Overview, Times

if TYPE_CHECKING:
    from collections.abc import Sequence

    Rows = Sequence[Sequence[Any]]


def overview_from(
    *, due: Rows, later: Rows, held: Rows, finished: Rows, since: int, bucket: int, most: int
) -> Overview:
    """Return the overview of a moment.

    :param due: (kind, count, earliest ``run_at``) of what waits; ``later`` (kind, count) of what is due later.
    :param held: (kind, status, count) of what workers hold.
    :param finished: (part, name, counts by end, p50, p95); part 0 is the window, 1 a bucket, 2 a kind.
    :param since: the window's begin; ``bucket`` its parts' length; both in milliseconds.
    """
    queued = {kind: count for kind, count, _ in due}
    by_status = {"running": 0, "cancelling": 0}
    running: dict[str, int] = {}
    for kind, status, count in held:
        by_status[status] += count
        running[kind] = running.get(kind, 0) + count
    of_kinds = {name: _finished(row) for grouping, name, *row in finished if grouping == 2}  # noqa: PLR2004 - see the SQL
    buckets = sorted((int(name), _finished(row)) for grouping, name, *row in finished if grouping == 1)
    whole = next((_finished(row) for grouping, _, *row in finished if grouping == 0), Finished())
    return Overview(
        queued=sum(queued.values()),
        scheduled=sum(count for _, count in later),
        running=by_status["running"],
        cancelling=by_status["cancelling"],
        oldest_due=min((moment_at(since) for _, _, since in due), default=None),
        finished=whole,
        buckets=tuple((moment_at(since + place * bucket), each) for place, each in buckets),
        kinds=tuple(
            KindFigures(
                kind=kind,
                queued=queued.get(kind, 0),
                running=running.get(kind, 0),
                finished=of_kinds.get(kind, Finished()),
            )
            for kind in sorted({*queued, *running, *of_kinds})
        ),
        cut=whole.succeeded + whole.failed + whole.cancelled > most,
    )


def _finished(row: Sequence[Any]) -> Finished:
    succeeded, failed, cancelled, p50, p95 = row
    return Finished(succeeded=succeeded, failed=failed, cancelled=cancelled, times=Times(_seconds(p50), _seconds(p95)))


def _seconds(milliseconds_: int | None) -> float | None:
    return None if milliseconds_ is None else milliseconds_ / 1000
