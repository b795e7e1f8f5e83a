"""A reader of one log sees every event once, in order, whatever is lost, late, doubled or written elsewhere."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from raincheck.core import transitions
from raincheck.core.events import EventType, Output
from raincheck.core.operation import Progress
from raincheck.roles import feed as feed_module
from raincheck.roles.follower import Follower
from raincheck.roles.many_follower import ManyFollower
from raincheck.roles.tail import Tail
from raincheck.testing.conformance.specimens import NOW, start, started, submitted, succeed


@pytest.fixture
def tail(store):
    """Provide a tail that looks when the test says so, and hears of commits by the test's own hand."""
    return Tail(store=store)


@pytest.fixture
def changes(store):
    """Collect what was committed, for the test to pass on."""
    found = []
    store.subscribe(found.extend)
    return found


class Reading:
    """A follower and what it has given."""

    def __init__(self, tail, store, operation, *, after=0):
        self.follower = Follower(tail=tail, store=store, operation_id=operation.id, position=after)
        self.seen = []

    def __enter__(self):
        self.follower.__enter__()
        return self

    def __exit__(self, *error):
        self.follower.__exit__(*error)

    async def show(self, portion, after):
        self.seen += [event.version for event in portion.events if event.version > after]

    async def replay(self):
        await self.follower.replay(self.show)

    async def advance(self):
        """Take what is there now."""
        await self.follower.advance(self.show)


async def given_by(act):
    """Return the events that a follower shows."""
    found = []

    async def show(portion, after):
        found.extend(event for event in portion.events if event.version > after)

    await act(show)
    return found


async def emit(store, operation, count=1):
    """Record chunks of the run that holds the operation."""
    return await store.change(
        operation.id,
        lambda found: transitions.record(found, run=found.run, entries=[Output("1")] * count, now=NOW),
    )


@pytest.mark.anyio
class TestFollower:
    """One log."""

    async def test_what_comes_while_the_replay_is_read_comes_once(self, store, tail, changes):
        """Registered first, then read: a change between is in both, and shown once."""
        operation = await started(store)
        changes.clear()
        with Reading(tail, store, operation) as reader:
            await emit(store, operation)
            tail.committed(changes)
            await reader.replay()
            assert reader.seen == [1, 2, 3]
            await reader.advance()
            assert reader.seen == [1, 2, 3]

    async def test_what_comes_after_the_replay_needs_no_query(self, store, tail, monkeypatch):
        """A commit of this process brings its events along."""
        store.subscribe(tail.committed)
        operation = await started(store)
        with Reading(tail, store, operation) as reader:
            await reader.replay()
            monkeypatch.setattr(store, "events_after", None)
            await emit(store, operation, 3)
            await reader.advance()
            await succeed(store, operation.id)
            await reader.advance()
            assert reader.seen == [1, 2, 3, 4, 5, 6]
            assert reader.follower.over

    async def test_a_lost_commit_is_read_from_the_store_with_the_next_one(self, store, tail, changes):
        """The portion says what it follows; a gap is never jumped over."""
        operation = await started(store)
        with Reading(tail, store, operation) as reader:
            await reader.replay()
            await emit(store, operation)
            changes.clear()
            await emit(store, operation)
            tail.committed(changes)
            await reader.advance()
            assert reader.seen == [1, 2, 3, 4]

    async def test_portions_out_of_step_are_put_in_order(self, store, tail, changes):
        """Late, doubled and turned round."""
        operation = await started(store)
        with Reading(tail, store, operation) as reader:
            await reader.replay()
            changes.clear()
            for _ in range(4):
                await emit(store, operation, 2)
            for order in ((2, 0), (3, 3), (1, 2, 0)):
                tail.committed([changes[number] for number in order])
                await reader.advance()
            assert reader.seen == list(range(1, 11))

    async def test_foreign_writes_are_found_by_a_look(self, store, tail):
        """At the first look the readers ask the store; later ones bring the events along."""
        operation = await started(store)
        with Reading(tail, store, operation) as reader:
            await reader.replay()
            for expected in (3, 4):
                await emit(store, operation)
                await tail.run_once()
                await reader.advance()
                assert reader.seen == list(range(1, expected + 1))
            await succeed(store, operation.id)
            await tail.run_once()
            await reader.advance()
            assert reader.follower.over

    async def test_a_look_for_many_readers_is_one_read_of_the_log(self, store, tail, monkeypatch):
        """What they share is read once."""
        operation = await started(store)
        with contextlib.ExitStack() as stack:
            readers = [stack.enter_context(Reading(tail, store, operation, after=2)) for _ in range(30)]
            for reader in readers:
                await reader.replay()
            await emit(store, operation)
            reads = []
            read = store.events_after
            monkeypatch.setattr(store, "events_after", lambda cursors: reads.append(cursors) or read(cursors))
            await tail.run_once()
            for reader in readers:
                await reader.advance()
            assert {tuple(reader.seen) for reader in readers} == {(3,)}
            assert len(reads) == 1

    async def test_a_look_without_news_reads_no_log(self, store, tail, monkeypatch):
        """Versions are compared first."""
        operation = await started(store)
        with Reading(tail, store, operation) as reader:
            await reader.replay()
            monkeypatch.setattr(store, "events_after", None)
            await tail.run_once()
            await reader.advance()
            assert reader.seen == [1, 2]

    @pytest.mark.parametrize("limit", [1, 2, 3, 7])
    async def test_a_log_longer_than_a_page_is_whole(self, store, tail, monkeypatch, limit):
        """In the replay and in a look."""
        read = store.events_after
        monkeypatch.setattr(store, "events_after", lambda cursors: read(cursors, limit=limit))
        operation = await started(store)
        await emit(store, operation, 10)
        with Reading(tail, store, operation) as reader, Reading(tail, store, operation, after=5) as late:
            await reader.replay()
            await late.replay()
            assert reader.seen == list(range(1, 13))
            await emit(store, operation, 10)
            await succeed(store, operation.id)
            await tail.run_once()
            for each in (reader, late):
                await each.advance()
                assert each.follower.over
            assert reader.seen == list(range(1, 24))
            assert late.seen == list(range(6, 24))

    async def test_a_superseded_progress_is_a_hole_and_nothing_else_is(self, store, tail):
        """Its version moves on in the log of the late reader."""
        operation = await started(store)

        async def progress(fraction):
            await store.change(
                operation.id,
                lambda found: transitions.record(
                    found, run=1, entries=[Output("1")], progress=Progress(fraction=fraction), now=NOW
                ),
            )

        await progress(0.1)
        with Reading(tail, store, operation, after=2) as reader:
            await reader.replay()
            await progress(0.2)
            await tail.run_once()
            await reader.advance()
            assert reader.seen == [3, 4, 5, 6]
        with Reading(tail, store, operation, after=2) as late:
            await late.replay()
            assert late.seen == [3, 5, 6]

    async def test_a_deleted_operation_ends_its_readers(self, store, tail):
        """Its end and its deletion may both come between two looks."""
        operation = await started(store)
        with Reading(tail, store, operation) as reader, Reading(tail, store, operation, after=2) as late:
            await reader.replay()
            await succeed(store, operation.id)
            await store.delete(operation.id, check=lambda _: None, now=NOW)
            await tail.run_once()
            for each in (reader, late):
                await each.advance()
                assert each.follower.over

    async def test_many_logs_are_followed_each_from_its_own_position(self, store, tail):
        """The reader is over when all are done."""
        first, second = await started(store), await submitted(store)
        follower = ManyFollower(tail=tail, store=store, positions={first.id: 1, second.id: 1})
        with follower:
            found = await given_by(follower.replay)
            assert [(event.operation, event.version) for event in found] == [(first.id, 2)]
            await succeed(store, first.id)
            await tail.run_once()
            found = await given_by(follower.advance)
            assert [(event.operation, event.type) for event in found] == [(first.id, EventType.DONE)]
            assert not follower.over
            await start(store, second.id)
            await succeed(store, second.id)
            await tail.run_once()
            found = await given_by(follower.advance)
            assert [event.version for event in found] == [2, 3]
            assert follower.over

    async def test_a_deleted_one_of_many_is_waited_for_no_more(self, store, tail):
        """The others go on; with the last the reader is over."""
        first, second = await started(store), await started(store)
        follower = ManyFollower(tail=tail, store=store, positions={first.id: 2, second.id: 2})
        with follower:
            await succeed(store, first.id)
            await store.delete(first.id, check=lambda _: None, now=NOW)
            await tail.run_once()
            assert await given_by(follower.advance) == []
            assert not follower.over
            await succeed(store, second.id)
            await tail.run_once()
            assert [event.operation for event in await given_by(follower.advance)] == [second.id]
            assert (follower.ended, follower.over) == (True, True)

    async def test_a_reader_of_many_that_is_cut_off_is_over_and_has_not_ended(self, store, tail, monkeypatch):
        """What is missing is read from its cursor by a new one."""
        monkeypatch.setattr(feed_module, "_MOST_PORTIONS", 2)
        store.subscribe(tail.committed)
        first, second = await started(store), await started(store)
        with ManyFollower(tail=tail, store=store, positions={first.id: 2, second.id: 2}) as follower:
            for _ in range(3):
                await emit(store, first)
            assert (follower.ended, follower.over) == (False, True)
            assert await given_by(follower.advance) == []

    async def test_readers_that_left_are_forgotten(self, store, tail, monkeypatch):
        """Neither fed nor looked for."""
        operation = await started(store)
        with Reading(tail, store, operation) as reader, Reading(tail, store, operation):
            await reader.replay()
            assert len(tail._feeds[operation.id]) == 2
        assert (tail._feeds, tail._seen) == ({}, {})
        monkeypatch.setattr(store, "versions", None)
        await tail.run_once()

    async def test_a_drain_wakes_and_ends_readers(self, store, tail):
        """At once, also one that comes later."""
        operation = await started(store)
        with Reading(tail, store, operation) as reader:
            await reader.replay()
            waiting = reader.follower.feed.wait()
            tail.drain()
            await asyncio.wait_for(waiting, 5)
            assert reader.follower.over
        with Reading(tail, store, operation) as late:
            assert late.follower.over

    async def test_a_reader_that_is_cut_off_is_over(self, store, tail, monkeypatch):
        """It was told, and takes nothing more."""
        monkeypatch.setattr(feed_module, "_MOST_PORTIONS", 2)
        store.subscribe(tail.committed)
        operation = await started(store)
        cuts = []
        follower = Follower(tail=tail, store=store, operation_id=operation.id, position=2)
        follower.feed.when_cut_off(lambda: cuts.append(1))
        with follower:
            for _ in range(5):
                await emit(store, operation)
            assert follower.over
            assert cuts == [1]
            assert await given_by(follower.advance) == []
