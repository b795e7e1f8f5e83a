"""The log, and promise 5 of OperationStore: who hears of a change, where and in which order."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from raincheck.core import transitions
from raincheck.core.events import Entry, Event, EventType, LogLine, Output
from raincheck.core.operation import Operation, Progress, Status
from raincheck.core.transitions import Change
from raincheck.ports import Lease
from raincheck.testing.conformance.specimens import (
    DAY,
    LEASE_END,
    NOW,
    PROBLEM,
    RESULT,
    SECOND,
    Store,
    Watcher,
    a_claim,
    an_operation,
    brought_to,
    start,
    started,
    submitted,
    succeed,
)


class EventsConformance:
    """``events_after`` returns the record and its log, as ``core.events.history`` tells it."""

    pytestmark = pytest.mark.anyio

    async def test_the_log_of_a_whole_life(self, store: Store) -> None:
        """Every change is in it, in order; progress only at its newest version."""
        operation = await a_whole_life(store)
        record, events = (await store.events_after({operation.id: 0}))[operation.id]
        assert [(event.version, event.type.value, event.run) for event in events] == [
            (1, "status", 0),
            (2, "status", 1),
            (3, "output", 1),
            (4, "log", 1),
            (6, "status", 1),
            (7, "status", 2),
            (8, "output", 2),
            (9, "progress", 2),
            (10, "done", 2),
        ]
        assert [event.data for event in events if event.type is EventType.OUTPUT] == [
            '{"chunk": {"page": 1}}',
            '{"chunk": "again"}',
        ]
        assert record.version == 10
        assert all(event.operation == operation.id for event in events)
        assert events[0].time == NOW
        assert events[-1].time == NOW + 9 * SECOND

    async def test_what_comes_after_a_cursor_is_the_end_of_the_whole(self, store: Store) -> None:
        """A reader resumes anywhere and misses nothing, also at a version that progress left behind."""
        operation = await a_whole_life(store)
        whole = (await store.events_after({operation.id: 0}))[operation.id][1]
        for after in range(12):
            record, events = (await store.events_after({operation.id: after}))[operation.id]
            assert events == [event for event in whole if event.version > after]
            assert record.version == 10

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    async def test_portions_put_together_are_the_whole(self, store: Store, limit: int) -> None:
        """A log longer than the limit is cut where reading on loses nothing."""
        operation = await a_whole_life(store)
        whole = (await store.events_after({operation.id: 0}))[operation.id][1]
        found: list[Event] = []
        after = 0
        while portion := (await store.events_after({operation.id: after}, limit=limit))[operation.id][1]:
            found += portion
            after = portion[-1].version
        assert found == whole

    async def test_a_long_log_is_read_in_portions(self, store: Store) -> None:
        """One reader of a million events must not hold them all."""
        running = await started(store)
        entries = [Output(str(number)) for number in range(50)]
        await store.change(running.id, lambda record: transitions.record(record, run=1, entries=entries, now=NOW))
        portion = (await store.events_after({running.id: 2}, limit=10))[running.id][1]
        assert [event.data for event in portion] == [f'{{"chunk": {number}}}' for number in range(10)]

    async def test_last_words_and_the_end_are_one_change(self, store: Store) -> None:
        """What was still unwritten when the function returned is in the log, before the end."""
        running = await started(store)

        def end(record: Operation) -> Change:
            said = transitions.record(
                record, run=1, entries=[Output("1"), Output("2")], progress=Progress(fraction=1.0), now=NOW
            )
            done = transitions.succeed(said.operation, run=1, result=RESULT, now=NOW)
            return Change(done.operation, record.version, (*said.events, *done.events))

        await store.change(running.id, end)
        record, events = (await store.events_after({running.id: 2}))[running.id]
        assert [event.type.value for event in events] == ["output", "output", "progress", "done"]
        assert [event.version for event in events] == [3, 4, 5, 6]
        assert (record.status, record.output_events) == (Status.SUCCEEDED, 2)

    async def test_many_operations_are_read_at_once_each_from_its_own_cursor(self, store: Store) -> None:
        """Ids without a record are left out."""
        first, second = await started(store), await submitted(store)
        found = await store.events_after({first.id: 1, second.id: 1, an_operation().id: 0, "nonsense": 0})
        assert {key: [event.version for event in events] for key, (_, events) in found.items()} == {
            first.id: [2],
            second.id: [],
        }
        assert await store.events_after({}) == {}

    @pytest.mark.parametrize("status", list(Status))
    async def test_there_is_one_terminal_event_in_a_terminal_status_and_none_before(
        self, store: Store, status: Status
    ) -> None:
        """Its version is the record's last."""
        record = await brought_to(store, status)
        events = (await store.events_after({record.id: 0}))[record.id][1]
        terminal = [event.version for event in events if event.type is EventType.DONE]
        assert terminal == ([record.version] if status.done else [])
        assert events[-1].version == record.version

    async def test_the_text_of_an_event_is_kept_to_the_character(self, store: Store) -> None:
        """Line separators and NUL arrive as they were escaped."""
        running = await started(store)
        line = LogLine("a\x00b\u2028c\nü", "warning")
        await store.change(running.id, lambda record: transitions.record(record, run=1, entries=[line], now=NOW))
        [event] = (await store.events_after({running.id: 2}))[running.id][1]
        assert event.data == '{"level": "warning", "message": "a\\u0000b\\u2028c\\n\\u00fc"}'


class ListenerConformance:
    """Listeners hear all changes, after the commit, in the loop that opened the store, in version order."""

    pytestmark = pytest.mark.anyio

    async def test_a_listener_hears_every_change_of_a_life(self, store: Store) -> None:
        """Each with the version it follows; progress is in the record that comes along."""
        watcher = Watcher(store)
        operation = await a_whole_life(store)
        changes = await watcher.heard(8)
        assert [(change.follows, change.operation.version) for change in changes] == [
            (0, 1),
            (1, 2),
            (2, 5),
            (5, 6),
            (6, 7),
            (7, 8),
            (8, 9),
            (9, 10),
        ]
        assert {change.operation.id for change in changes} == {operation.id}
        rows = [event.version for change in changes for event in change.events]
        assert rows == [3, 4, 6, 7, 8], "the first start is in the record"

    async def test_listeners_are_called_in_the_loop_that_opened_the_store(self, store: Store) -> None:
        """So they may touch what belongs to that loop without a lock."""
        watcher = Watcher(store)
        await started(store)
        await watcher.heard(2)
        assert watcher.loops == {asyncio.get_running_loop()}

    async def test_what_a_listener_heard_can_be_read(self, store: Store) -> None:
        """A change is told after its commit, never before."""
        watcher = Watcher(store)
        submit = asyncio.ensure_future(store.submit(an_operation()))
        [change] = await watcher.heard(1)
        assert await store.get(change.operation.id) == change.operation
        await submit

    async def test_changes_of_one_operation_are_heard_in_version_order(self, store: Store) -> None:
        """Also when many write it at once."""
        running = await started(store)
        watcher = Watcher(store)

        def emit(record: Operation) -> Change:
            return transitions.record(record, run=1, entries=[Output("0")], now=NOW)

        await asyncio.gather(*[store.change(running.id, emit) for _ in range(50)])
        changes = await watcher.heard(50)
        assert all(later.follows == earlier.operation.version for earlier, later in pairwise(changes))

    async def test_a_claim_is_heard(self, store: Store) -> None:
        """One change for each operation that was given out."""
        ids = {(await submitted(store)).id for _ in range(3)}
        watcher = Watcher(store)
        await store.claim(a_claim())
        changes = await watcher.heard(3)
        assert {change.operation.id for change in changes} == ids
        assert {change.operation.status for change in changes} == {Status.RUNNING}

    async def test_what_writes_nothing_is_not_heard(self, store: Store) -> None:
        """A renewal, an empty change, a refused one, a replayed submit."""
        running = await started(store, idempotency_key="k", fingerprint="f")
        watcher = Watcher(store)
        await store.renew([Lease(running.id, 1)], lease_until=LEASE_END + DAY)
        await store.change(running.id, lambda _: None)
        await store.change(running.id, lambda record: Change(record, record.version))
        await store.submit(an_operation(idempotency_key="k", fingerprint="f"))
        refused = store.change(running.id, lambda record: transitions.succeed(record, run=9, result=RESULT, now=NOW))
        await asyncio.gather(refused, return_exceptions=True)
        await succeed(store, running.id)
        [change] = await watcher.heard(1)
        assert change.operation.status is Status.SUCCEEDED


async def a_whole_life(store: Store) -> Operation:
    """Run an operation through two attempts with output, log, progress and a result: versions 1 to 10."""
    operation = await started(store, max_attempts=2)
    entries: list[Entry] = [Output('{"page": 1}'), LogLine("one page")]
    half, full = Progress(fraction=0.5), Progress(fraction=1.0)

    async def tell(run: int, second: int, *, said: list[Entry], progress: Progress | None) -> None:
        now = NOW + second * SECOND
        await store.change(
            operation.id,
            lambda record: transitions.record(record, run=run, entries=said, progress=progress, now=now),
        )

    await tell(1, 3, said=entries, progress=half)
    await store.change(
        operation.id, lambda record: transitions.fail(record, run=1, error=PROBLEM, retry_at=NOW, now=NOW)
    )
    await start(store, operation.id)
    await tell(2, 7, said=[Output('"again"')], progress=None)
    await tell(2, 8, said=[], progress=full)
    return await succeed(store, operation.id, run=2, now=NOW + 9 * SECOND)
