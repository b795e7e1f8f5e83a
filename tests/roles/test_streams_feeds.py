"""What readers wait on: bounded, in order, and never lost."""

from __future__ import annotations

import asyncio

import pytest

from raincheck.core import transitions
from raincheck.core.events import Event, EventType, Output
from raincheck.core.operation import Progress, Status
from raincheck.roles import feed as feed_module
from raincheck.roles.feed import Feed, Portion, push_in_turns
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


def in_ten_seconds():
    """Return a moment of the loop's clock that a test never reaches."""
    return asyncio.get_running_loop().time() + 10


async def news_of(follower):
    """Return what a follower has to give now."""
    soon = asyncio.get_running_loop().time()
    return [found async for found in follower.advance(soon)]


async def say(store, operation, *, chunks=(), progress=None, now=NOW):
    """Record output and progress of the first run."""
    return await store.change(
        operation.id,
        lambda found: transitions.record(
            found, run=found.run, entries=[Output(chunk) for chunk in chunks], progress=progress, now=now
        ),
    )


# --- feeds --------------------------------------------------------------------------------------------------------


async def test_a_feed_gives_portions_in_order_and_once():
    """Taking empties it."""
    feed = Feed()
    portions = [portion() for _ in range(3)]
    for each in portions:
        feed.push(each)
    assert feed.take() == portions
    assert feed.take() == []


async def test_a_wait_ends_with_the_first_portion_and_at_once_where_one_waits():
    """Without asking the store."""
    feed = Feed()
    waiting = asyncio.ensure_future(feed.wait(in_ten_seconds()))
    await asyncio.sleep(0)
    assert not waiting.done()
    feed.push(portion())
    await asyncio.wait_for(waiting, 5)
    await asyncio.wait_for(feed.wait(in_ten_seconds()), 5)


async def test_a_wait_ends_at_its_deadline_and_when_woken():
    """A ping, a drain or a reader that has gone."""
    feed = Feed()
    await asyncio.wait_for(feed.wait(asyncio.get_running_loop().time()), 5)
    waiting = asyncio.ensure_future(feed.wait(in_ten_seconds()))
    await asyncio.sleep(0)
    feed.wake()
    await asyncio.wait_for(waiting, 5)
    assert feed.take() == []


async def test_a_cancelled_wait_leaves_nothing_behind():
    """The next wait is as good as the first."""
    feed = Feed()
    waiting = asyncio.ensure_future(feed.wait(in_ten_seconds()))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    feed.push(portion())
    assert len(feed.take()) == 1


@pytest.mark.parametrize(("count", "size"), [(1001, 0), (5, 1 << 18), (2, 1 << 20)])
async def test_a_reader_that_does_not_keep_up_is_cut_off_once(count, size):
    """By number and by bytes; what waited is dropped, and nothing more is kept."""
    cuts = []
    feed = Feed(cut=lambda: cuts.append(1))
    for _ in range(count - 1):
        feed.push(portion(size))
    assert (feed.overrun, cuts) == (False, [])
    feed.push(portion(size))
    assert (feed.overrun, cuts) == (True, [1])
    feed.push(portion())
    assert (feed.take(), cuts) == ([], [1])
    await asyncio.wait_for(feed.wait(in_ten_seconds()), 5)


async def test_one_large_portion_cuts_nobody_off():
    """A reader that keeps up gets events of any size."""
    feed = Feed(cut=lambda: pytest.fail("cut off"))
    for _ in range(3):
        large = portion(10 << 20)
        feed.push(large)
        assert feed.take() == [large]


async def test_taking_makes_room():
    """Only what waits counts."""
    feed = Feed(cut=lambda: pytest.fail("cut off"))
    for _ in range(10):
        for _ in range(900):
            feed.push(portion(1000))
        assert len(feed.take()) == 900


async def test_many_readers_are_fed_in_turns():
    """Others get the loop in between, and each reader gets all portions in order."""
    feeds = [Feed() for _ in range(1000)]
    first, second = portion(), portion()
    push_in_turns(feeds, first)
    assert sum(bool(feed._portions) for feed in feeds) == 200
    push_in_turns(feeds, second)
    turns = 0
    while not feeds[-1]._portions or feeds[-1]._portions[-1] is not second:
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 4
    assert all(feed.take() == [first, second] for feed in feeds)


async def test_feeding_nobody_is_nothing():
    """The last reader may have gone meanwhile."""
    push_in_turns([], portion())
    push_in_turns(iter(()), portion())


async def test_readers_that_are_cut_off_in_a_turn_do_not_stop_the_others(monkeypatch):
    """Each has its own bound."""
    monkeypatch.setattr(feed_module, "_MOST_PORTIONS", 1)
    slow, quick = [Feed() for _ in range(5)], [Feed() for _ in range(5)]
    push_in_turns(slow, portion())
    push_in_turns([*slow, *quick], portion())
    assert [feed.overrun for feed in slow + quick] == [True] * 5 + [False] * 5


# --- all that an owner has ----------------------------------------------------------------------------------------


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
    assert [each async for each in follower.replay()] == []
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
    waiting = asyncio.ensure_future(news_of_later(follower))
    await asyncio.sleep(0)
    assert not follower.over
    tail.drain()
    assert await asyncio.wait_for(waiting, 5) == []
    assert follower.over


async def news_of_later(follower):
    """Wait for news."""
    return [found async for found in follower.advance(in_ten_seconds())]


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
