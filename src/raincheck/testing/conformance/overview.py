"""What the operator's page asks: counts of one moment, figures of a window, what anyone changed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from raincheck.core import transitions
from raincheck.core.operation import Status
from raincheck.core.overview import Finished, Times
from raincheck.testing.conformance.specimens import (
    DAY,
    NOW,
    PROBLEM,
    SECOND,
    Store,
    brought_to,
    start,
    started,
    submitted,
    succeed,
)

if TYPE_CHECKING:
    from datetime import datetime

    from raincheck.ports import OverviewStore

_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


async def _took(store: Store, seconds: float, *, kind: str = "report", failed: bool = False) -> datetime:
    """Let an operation run for so long from NOW on, and return its end."""
    operation = await submitted(store, kind=kind)
    await start(store, operation.id)
    end = NOW + seconds * SECOND
    if failed:
        await store.change(operation.id, lambda found: transitions.fail(found, run=1, error=PROBLEM, now=end))
    else:
        await succeed(store, operation.id, now=end)
    return end


class OverviewConformance:
    """Provide ``store`` and ``overview``: an OverviewStore of the same records, opened."""

    pytestmark = pytest.mark.anyio

    async def test_an_empty_store_has_no_figures(self, overview: OverviewStore) -> None:
        """Nothing is counted, and no percentile is made up."""
        found = await overview.overview(now=NOW, since=NOW - _HOUR, bucket=_MINUTE)
        assert (found.queued, found.scheduled, found.running, found.cancelling) == (0, 0, 0, 0)
        assert found.oldest_due is None
        assert found.finished == Finished()
        assert (found.buckets, found.kinds) == ((), ())
        assert not found.cut

    async def test_what_is_under_way_is_counted_by_status(self, store: Store, overview: OverviewStore) -> None:
        """What is due later is no backlog; the oldest is the one that has been due the longest."""
        for seconds in (30, 10, 20):
            await submitted(store, created=NOW - seconds * SECOND)
        await submitted(store, run_at=NOW + DAY)
        await started(store)
        await brought_to(store, Status.CANCELLING)
        found = await overview.overview(now=NOW, since=NOW - _HOUR, bucket=_MINUTE)
        assert (found.queued, found.scheduled, found.running, found.cancelling) == (3, 1, 1, 1)
        assert found.oldest_due == NOW - 30 * SECOND

    async def test_percentiles_are_at_the_nearest_rank(self, store: Store, overview: OverviewStore) -> None:
        """Of twenty runs of 1 to 20 seconds the median is the tenth and p95 the nineteenth."""
        for seconds in range(20, 0, -1):
            await _took(store, seconds, failed=seconds % 5 == 0)
        found = await overview.overview(now=NOW + _HOUR, since=NOW, bucket=_HOUR)
        assert found.finished == Finished(succeeded=16, failed=4, times=Times(10.0, 19.0))
        assert found.buckets == ((NOW, found.finished),)

    async def test_what_never_started_has_no_duration(self, store: Store, overview: OverviewStore) -> None:
        """A queued operation that is cancelled counts, and moves no percentile."""
        operation = await submitted(store)
        await store.change(operation.id, lambda found: transitions.request_cancel(found, now=NOW))
        found = await overview.overview(now=NOW, since=NOW, bucket=_MINUTE)
        assert found.finished == Finished(cancelled=1)
        await _took(store, 4)
        found = await overview.overview(now=NOW, since=NOW, bucket=_MINUTE)
        assert found.finished == Finished(succeeded=1, cancelled=1, times=Times(4.0, 4.0))

    async def test_buckets_begin_at_the_window_and_leave_out_what_is_empty(
        self, store: Store, overview: OverviewStore
    ) -> None:
        """An end at the edge of two buckets belongs to the later one; one before the window to none."""
        for seconds in (5, 59, 60, 185):
            await _took(store, seconds)
        found = await overview.overview(now=NOW + _HOUR, since=NOW + 10 * SECOND, bucket=50 * SECOND)
        starts = [(start - NOW).total_seconds() for start, _ in found.buckets]
        assert starts == [10, 60, 160]
        assert [each.succeeded for _, each in found.buckets] == [1, 1, 1]
        assert found.finished.succeeded == 3

    async def test_each_kind_has_its_own_figures(self, store: Store, overview: OverviewStore) -> None:
        """Kinds are sorted by name; one that only waits has no finished ones."""
        await _took(store, 2, kind="b")
        await _took(store, 8, kind="b", failed=True)
        await started(store, kind="b")
        await submitted(store, kind="a")
        found = await overview.overview(now=NOW, since=NOW - _HOUR, bucket=_MINUTE)
        assert [(each.kind, each.queued, each.running) for each in found.kinds] == [("a", 1, 0), ("b", 0, 1)]
        assert found.kinds[0].finished == Finished()
        assert found.kinds[1].finished == Finished(succeeded=1, failed=1, times=Times(2.0, 8.0))

    async def test_only_the_newest_are_counted_beyond_the_limit(self, store: Store, overview: OverviewStore) -> None:
        """And the figures say that they are cut."""
        for seconds in (1, 2, 30):
            await _took(store, seconds)
        found = await overview.overview(now=NOW, since=NOW, bucket=_MINUTE, most=1)
        assert found.cut
        assert found.finished.times == Times(2.0, 30.0)
        whole = await overview.overview(now=NOW, since=NOW, bucket=_MINUTE, most=3)
        assert not whole.cut

    async def test_what_workers_hold_is_listed_by_worker(self, store: Store, overview: OverviewStore) -> None:
        """Running and cancelling, whoever owns them, without their inputs."""
        late = await started(store, worker="z", owner="me", input='{"large": 1}')
        early = await started(store, worker="a")
        await submitted(store)
        await brought_to(store, Status.SUCCEEDED)
        found = await overview.held()
        assert [each.id for each in found] == [early.id, late.id]
        assert [each.worker for each in found] == ["a", "z"]
        assert {each.input for each in found} == {"{}"}
        assert len(await overview.held(limit=1)) == 1

    async def test_what_anyone_changed_is_found_in_every_status(self, store: Store, overview: OverviewStore) -> None:
        """Oldest change first; the change at the very moment counts."""
        changed = [await brought_to(store, status, owner=status.value) for status in Status]
        found = await overview.changed_by_anyone(NOW)
        assert {each.id for each in found} == {each.id for each in changed}
        assert await overview.changed_by_anyone(NOW + SECOND) == []
        await start(store, changed[0].id, now=NOW + SECOND)
        assert [each.id for each in await overview.changed_by_anyone(NOW + SECOND)] == [changed[0].id]
        assert (await overview.changed_by_anyone(NOW))[-1].id == changed[0].id
        assert len(await overview.changed_by_anyone(NOW, limit=2)) == 2
