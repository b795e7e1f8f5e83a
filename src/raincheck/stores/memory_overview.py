"""What the operator's page asks of the memory store."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from raincheck.core.operation import Operation, Status
from raincheck.core.overview import Finished, KindFigures, Overview, Times

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from raincheck.stores.memory import MemoryStore


class MemoryOverview:
    """Implements OverviewStore over the records of a MemoryStore."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def overview(self, *, now: datetime, since: datetime, bucket: timedelta, most: int = 100_000) -> Overview:
        """Count what is under way and what finished since a moment."""
        records = self._records()
        queued = [each for each in records if each.status is Status.QUEUED]
        due = [each for each in queued if each.run_at <= now]
        held = Counter(each.status for each in records if each.status.held)
        ended = sorted(
            (each for each in records if each.finished_at is not None and each.finished_at >= since),
            key=lambda each: each.finished_at or now,
            reverse=True,
        )[: most + 1]
        buckets: dict[datetime, list[Operation]] = defaultdict(list)
        for each in ended:
            assert each.finished_at is not None
            buckets[since + (each.finished_at - since) // bucket * bucket].append(each)
        kinds = sorted({each.kind for each in (*due, *ended, *(held for held in records if held.status.held))})
        return Overview(
            queued=len(due),
            scheduled=len(queued) - len(due),
            running=held[Status.RUNNING],
            cancelling=held[Status.CANCELLING],
            oldest_due=min((each.run_at for each in due), default=None),
            finished=_finished(ended),
            buckets=tuple((start, _finished(buckets[start])) for start in sorted(buckets)),
            kinds=tuple(
                KindFigures(
                    kind=kind,
                    queued=sum(each.kind == kind for each in due),
                    running=sum(each.kind == kind and each.status.held for each in records),
                    finished=_finished([each for each in ended if each.kind == kind]),
                )
                for kind in kinds
            ),
            cut=len(ended) > most,
        )

    async def held(self, *, limit: int = 1000) -> list[Operation]:
        """Return what workers hold."""
        held = [each for each in self._records() if each.status.held]
        return [_light(each) for each in sorted(held, key=lambda each: (each.worker or "", each.id))[:limit]]

    async def changed_by_anyone(self, moment: datetime, *, limit: int = 1000) -> list[Operation]:
        """Return what has changed since a moment, oldest change first."""
        changed = [each for each in self._records() if each.updated_at >= moment]
        return [_light(each) for each in sorted(changed, key=lambda each: each.updated_at)[:limit]]

    def _records(self) -> list[Operation]:
        with self._store._lock:  # noqa: SLF001 - the other half of one store, kept apart since few ask for it
            return list(self._store._operations.values())  # noqa: SLF001


def _finished(ended: Sequence[Operation]) -> Finished:
    statuses = Counter(each.status for each in ended)
    took = sorted(
        (each.finished_at - each.started_at).total_seconds()
        for each in ended
        if each.finished_at is not None and each.started_at is not None
    )
    return Finished(
        succeeded=statuses[Status.SUCCEEDED],
        failed=statuses[Status.FAILED],
        cancelled=statuses[Status.CANCELLED],
        times=Times(_at_rank(took, 50), _at_rank(took, 95)),
    )


def _at_rank(took: Sequence[float], percent: int) -> float | None:
    return took[(len(took) * percent + 99) // 100 - 1] if took else None


def _light(operation: Operation) -> Operation:
    result = operation.result and replace(operation.result, body=None)
    return replace(operation, input="{}", result=result)
