"""Promise 3 of OperationStore: a change is one transaction over the row it holds."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from raincheck.core import transitions
from raincheck.core.errors import LeaseLost
from raincheck.core.events import LogLine, Output
from raincheck.core.operation import Operation, Problem, Progress, Status, StoredResult
from raincheck.core.transitions import Change
from raincheck.testing.conformance.specimens import (
    NOW,
    PROBLEM,
    RESULT,
    SECOND,
    Store,
    an_operation,
    brought_to,
    record_of,
    start,
    started,
    submitted,
    succeed,
)


class ChangeConformance:
    """Changing applies a transition to the record as it is at that moment."""

    pytestmark = pytest.mark.anyio

    async def test_a_change_writes_the_record_and_its_events_together(self, store: Store) -> None:
        """A reader never sees one without the other."""
        running = await started(store)
        changed = await store.change(
            running.id,
            lambda record: transitions.record(record, run=1, entries=[Output("1"), LogLine("hi")], now=NOW + SECOND),
        )
        assert (changed.version, changed.output_events) == (running.version + 2, 2)
        after = await store.events_after({running.id: running.version})
        record, events = after[running.id]
        assert record.version == changed.version
        assert [event.version for event in events] == [3, 4]

    async def test_a_result_reads_back_with_every_field(self, store: Store) -> None:
        """The replayed answer is the one that the function gave, to the byte."""
        running = await started(store)
        result = StoredResult(
            status_code=201,
            media_type="text/plain; charset=utf-8",
            headers=(("x-pages", "3"), ("x-pages", "4"), ("x-empty", "")),
            body=bytes(range(256)),
            size=256,
            etag='"e"',
        )
        await store.change(running.id, lambda record: transitions.succeed(record, run=1, result=result, now=NOW))
        done = await record_of(store, running.id)
        assert (done.result, done.status, done.finished_at) == (result, Status.SUCCEEDED, NOW)
        assert done.expires_at == NOW + done.retention

    async def test_a_result_kept_as_a_file_reads_back(self, store: Store) -> None:
        """A large result is a name, not bytes."""
        running = await started(store)
        result = StoredResult(blob=f"{running.id}/1/result", size=70_000, etag='"e"')
        await store.change(running.id, lambda record: transitions.succeed(record, run=1, result=result, now=NOW))
        assert (await record_of(store, running.id)).result == result

    async def test_a_failure_reads_back_with_every_field(self, store: Store) -> None:
        """The problem document is rendered from the record alone."""
        running = await started(store)
        error = Problem(
            code="no-paper",
            title="Ü",
            status=503,
            detail="tray \u2028 2",
            extensions={"tray": 2, "sizes": ["A4", None]},
            http_detail='{"loc": [1]}',
            headers=(("retry-after", "5"), ("x-tray", "2")),
        )
        await store.change(
            running.id,
            lambda record: transitions.fail(record, run=1, error=error, traceback="Traceback…", now=NOW),
        )
        failed = await record_of(store, running.id)
        assert (failed.error, failed.traceback, failed.status) == (error, "Traceback…", Status.FAILED)

    async def test_progress_reads_back_with_every_field(self, store: Store) -> None:
        """Zero is a value, not an absence."""
        running = await started(store)
        progress = Progress(fraction=0.0, current=0, total=2.5, unit="pages", message="", stage="render")
        await store.change(running.id, lambda record: transitions.record(record, run=1, progress=progress, now=NOW))
        record = await record_of(store, running.id)
        assert record.progress == progress
        assert (record.progress_version, record.progress_run, record.progress_at) == (3, 1, NOW)

    async def test_a_waiting_retry_keeps_its_moment(self, store: Store) -> None:
        """The next attempt is due when the rules said."""
        running = await started(store, max_attempts=2)
        later = NOW + 7 * SECOND
        await store.change(
            running.id,
            lambda record: transitions.fail(record, run=1, error=PROBLEM, retry_at=later, now=NOW),
        )
        waiting = await record_of(store, running.id)
        assert (waiting.status, waiting.next_attempt_at, waiting.worker) == (Status.QUEUED, later, None)
        assert waiting.lease_until is None

    @pytest.mark.parametrize("status", list(Status))
    async def test_no_change_writes_nothing(self, store: Store, status: Status) -> None:
        """A transition that decides None, or the record itself, leaves record and events as they are."""
        before = await brought_to(store, status)
        assert (await store.change(before.id, lambda _: None)).version == before.version
        unchanged = await store.change(before.id, lambda record: Change(record, record.version))
        assert unchanged.version == before.version
        assert await record_of(store, before.id) == before

    async def test_what_the_transition_raises_reaches_the_caller_and_nothing_is_written(self, store: Store) -> None:
        """The decision failed, so there is nothing to write."""
        running = await started(store)

        def refuse(_: Operation) -> None:
            raise transitions.OutputTooLarge

        with pytest.raises(transitions.OutputTooLarge):
            await store.change(running.id, refuse)
        assert await record_of(store, running.id) == running

    async def test_an_unknown_id_raises_key_error(self, store: Store) -> None:
        """Also where a tombstone is left: there is no record to change."""
        with pytest.raises(KeyError):
            await store.change(an_operation().id, lambda _: None)
        gone = await brought_to(store, Status.FAILED)
        await store.delete(gone.id, check=transitions.refuse_delete, now=NOW)
        with pytest.raises(KeyError):
            await store.change(gone.id, lambda _: None)

    async def test_a_worker_that_lost_its_lease_writes_nothing(self, store: Store) -> None:
        """A paused worker that wakes up after a takeover is harmless."""
        stale = await started(store)
        await store.change(stale.id, lambda record: transitions.lose(record, run=1, now=NOW))
        current = await start(store, stale.id, worker="worker-2")
        with pytest.raises(LeaseLost):
            await succeed(store, stale.id, run=1)
        assert await record_of(store, stale.id) == current

    async def test_of_two_workers_that_finish_at_the_same_time_one_counts(self, store: Store) -> None:
        """Exactly one terminal state is recorded."""
        running = await started(store)

        def fail(record: Operation) -> Change:
            return transitions.fail(record, run=1, error=PROBLEM, now=NOW)

        outcomes = await asyncio.gather(
            succeed(store, running.id),
            store.change(running.id, fail),
            succeed(store, running.id),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, LeaseLost) for outcome in outcomes) == 2
        [winner] = [outcome for outcome in outcomes if isinstance(outcome, Operation)]
        record = await record_of(store, running.id)
        assert (record.status, record.version) == (winner.status, running.version + 1)

    async def test_concurrent_changes_of_one_operation_follow_each_other(self, store: Store) -> None:
        """No change is lost, and no version is given twice."""
        running = await started(store)

        def emit(record: Operation) -> Change:
            return transitions.record(record, run=1, entries=[Output(f"{record.version}")], now=NOW)

        changed = await asyncio.gather(*[store.change(running.id, emit) for _ in range(100)])
        assert sorted(each.version for each in changed) == list(range(3, 103))
        assert (await record_of(store, running.id)).output_events == 100

    async def test_a_transition_that_fails_harms_no_other_of_its_commit(self, store: Store) -> None:
        """Not a refusal, nor a bug: neither the same operation's other changes, nor anybody else's."""
        mine, other = await started(store), await started(store)

        def emit(record: Operation) -> Change:
            return transitions.record(record, run=1, entries=[Output("0")], now=NOW)

        def broken(record: Operation) -> Change:
            raise ZeroDivisionError(record.id)

        found = await asyncio.gather(
            store.change(mine.id, emit),
            store.change(mine.id, broken),
            store.change(mine.id, lambda record: transitions.release(record, run=2, now=NOW)),
            store.change(other.id, emit),
            store.change("op_unknown", emit),
            succeed(store, mine.id),
            return_exceptions=True,
        )
        kinds = [each.version if isinstance(each, Operation) else type(each) for each in found]
        assert kinds == [3, ZeroDivisionError, LeaseLost, 3, KeyError, 4]
        log = await store.events_after({mine.id: 0, other.id: 0})
        assert [event.version for event in log[mine.id][1]] == [1, 2, 3, 4]
        assert [event.version for event in log[other.id][1]] == [1, 2, 3]

    async def test_a_change_keeps_what_it_did_not_touch(self, store: Store) -> None:
        """Input, metadata and key survive the whole life."""
        before = await submitted(store, input='{"a": 1}', metadata={"k": "v"}, idempotency_key="k", fingerprint="f")
        await start(store, before.id)
        await succeed(store, before.id)
        after = await record_of(store, before.id)
        assert after.result == RESULT
        touched = {
            name: getattr(before, name)
            for name in (
                *("status", "version", "run", "attempt", "updated_at", "started_at"),
                *("finished_at", "expires_at", "result"),
            )
        }
        assert replace(after, **touched) == before
