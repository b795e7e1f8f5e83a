"""A reader of all that an owner has sees each status and each end, whoever wrote it."""

from __future__ import annotations

import asyncio

import pytest

from raincheck.core import transitions
from raincheck.core.events import Event, EventType, Output
from raincheck.core.operation import Progress, Status
from raincheck.roles import tail as tail_module
from raincheck.roles.feed import Portion
from raincheck.roles.owner_follower import OwnerFollower
from raincheck.roles.tail import Tail
from raincheck.testing.conformance.specimens import (
    NOW,
    SECOND,
    an_operation,
    brought_to,
    start,
    started,
    submitted,
    succeed,
)

pytestmark = pytest.mark.anyio


def portion(size=0, *, operation=None, follows=0):
    """Return a portion with one event of about that size."""
    operation = operation or an_operation()
    event = Event(operation.id, operation.version, 1, EventType.OUTPUT, NOW, "x" * max(0, size - 200))
    return Portion(operation, follows, [event])


async def news_of(follower):
    """Return what a follower has to show now."""
    found = []

    async def show(portion, after):
        found.append((portion, after))

    await follower.advance(show)
    return found


async def say(store, operation, *, chunks=(), progress=None, now=NOW):
    """Record output and progress of the first run."""
    return await store.change(
        operation.id,
        lambda found: transitions.record(
            found, run=found.run, entries=[Output(chunk) for chunk in chunks], progress=progress, now=now
        ),
    )


@pytest.fixture
def tail(store):
    """Provide a tail that looks when the test says so, and hears of commits by the test's own hand."""
    return Tail(store=store)


@pytest.fixture
def follower(tail):
    """Provide a registered reader of all that `me` owns."""
    with OwnerFollower(tail=tail, owner="me", now=NOW) as made:
        yield made


async def shown(follower):
    """Return what the reader is shown now."""
    return [(event.type.value, event.version) for portion, _ in await news_of(follower) for event in portion.events]


async def test_an_owner_sees_each_status_and_the_end_of_what_this_process_writes(store, tail, follower):
    """Not progress, output or other owners; nothing is replayed, and no query is made."""
    store.subscribe(tail.committed)
    mine = await started(store, owner="me")
    await started(store, owner="somebody else")
    await say(store, mine, chunks=["1"], progress=Progress(fraction=0.5))
    await succeed(store, mine.id)
    assert await shown(follower) == [("status", 1), ("status", 2), ("done", 5)]
    await follower.replay(None)
    await tail.run_once()
    assert await shown(follower) == []


async def test_an_owner_sees_what_another_process_writes_as_it_stands(store, tail, follower):
    """What came between two looks is one event; looking again shows nothing twice."""
    mine = await started(store, owner="me")
    for expected in ([("status", 2)], []):
        await tail.run_once()
        assert await shown(follower) == expected
    await succeed(store, mine.id, now=NOW + SECOND)
    await tail.run_once()
    assert await shown(follower) == [("done", 3)]


async def test_progress_written_elsewhere_is_no_status(store, tail, follower):
    """The record has a new version, but stands where it stood."""
    mine = await started(store, owner="me")
    await tail.run_once()
    assert await shown(follower) == [("status", 2)]
    for number in (0.1, 0.2):
        await say(store, mine, progress=Progress(fraction=number), now=NOW + SECOND)
        await tail.run_once()
        assert await shown(follower) == []
    await store.change(mine.id, lambda found: transitions.request_cancel(found, now=NOW + SECOND))
    await tail.run_once()
    assert await shown(follower) == [("status", 5)]


async def test_an_owners_reader_sees_no_version_twice_when_both_ways_tell_of_it(store, tail, follower):
    """A commit of this process is found by the look as well, in either order."""
    changes = []
    store.subscribe(changes.extend)
    await started(store, owner="me")
    await tail.run_once()
    tail.committed(changes)
    assert await shown(follower) == [("status", 2)]


@pytest.mark.parametrize("status", list(Status))
async def test_an_owner_sees_every_status_that_another_process_brought_about(store, tail, follower, status):
    """The event is what a reader of the operation would get."""
    record = await brought_to(store, status, owner="me")
    await tail.run_once()
    [(found, _)] = await news_of(follower)
    [event] = found.events
    assert (event.operation, event.version, event.run) == (record.id, record.version, record.run)
    assert event.type is (EventType.DONE if status.done else EventType.STATUS)
    if not status.done:
        assert f'"status": "{status.value}"' in event.data


async def test_what_an_owner_did_before_is_not_shown(store, tail):
    """The reader has just fetched the list."""
    await submitted(store, owner="me")
    with OwnerFollower(tail=tail, owner="me", now=NOW + SECOND) as follower:
        await tail.run_once()
        assert await shown(follower) == []
        later = await submitted(store, owner="me", created=NOW + SECOND)
        await tail.run_once()
        [(found, _)] = await news_of(follower)
        assert found.operation.id == later.id


async def test_a_reader_that_left_is_forgotten(store, tail):
    """With the last one of an owner the looks end as well."""
    with OwnerFollower(tail=tail, owner="me", now=NOW), OwnerFollower(tail=tail, owner="me", now=NOW):
        assert len(tail._owner_feeds["me"]) == 2
    assert (tail._owner_feeds, tail._owners_seen) == ({}, {})
    store.changed_since = None
    await tail.run_once()


async def test_a_drain_ends_an_owners_reader(tail, follower):
    """It wakes and is over."""
    waiting = follower.feed.wait()
    assert not follower.over
    tail.drain()
    await asyncio.wait_for(waiting, 5)
    assert await news_of(follower) == []
    assert follower.over


async def test_a_reader_that_does_not_take_its_last_frames_is_cut_off_within_the_second(tail, monkeypatch):
    """Its server would wait for it for ever; one that has left is left alone."""
    monkeypatch.setattr(tail_module, "_LAST_FRAMES_WITHIN", 0.01)
    cuts = []
    told = asyncio.Event()

    def stuck():
        cuts.append("stuck")
        told.set()

    with OwnerFollower(tail=tail, owner="me", now=NOW) as reader:
        reader.feed.when_cut_off(stuck)
        with OwnerFollower(tail=tail, owner="me", now=NOW) as other:
            other.feed.when_cut_off(lambda: cuts.append("left"))
            tail.drain()
            tail.drain()
        assert cuts == []
        await asyncio.wait_for(told.wait(), 5)
    assert cuts == ["stuck"]


async def test_an_owner_sees_the_result_of_what_another_process_finished(store, tail, follower):
    """The list that is looked through has no results; what ends is read whole, and once."""
    mine = await started(store, owner="me")
    await succeed(store, mine.id)
    whole = await store.get(mine.id)
    assert whole.result.body is not None
    await tail.run_once()
    [(found, _)] = await news_of(follower)
    assert found.operation == whole
    store.events_after = None
    await tail.run_once()


async def test_who_wants_to_know_of_a_drain_is_told_once_or_at_once(tail):
    """Also who comes while it is under way; who took the wish back hears nothing."""
    told = []
    tail.when_draining(lambda: told.append("first"))
    tail.when_draining(lambda: told.append("never"))()
    tail.drain()
    assert told == ["first"]
    tail.when_draining(lambda: told.append("late"))
    assert told == ["first", "late"]


async def test_a_retry_is_shown_with_its_time(store, tail, follower):
    """A failed attempt goes back to the queue; the next one is another standing."""
    mine = await started(store, owner="me", max_attempts=2)
    await tail.run_once()
    error = transitions.WORKER_LOST
    await store.change(
        mine.id, lambda found: transitions.fail(found, run=1, error=error, retry_at=NOW + SECOND, now=NOW)
    )
    await tail.run_once()
    await start(store, mine.id, now=NOW + SECOND)
    await tail.run_once()
    found = [event for portion, _ in await news_of(follower) for event in portion.events]
    assert [event.version for event in found] == [2, 3, 4]
    assert '"next_attempt_at": "2026-01-31T12:00:01.000Z"' in found[1].data
