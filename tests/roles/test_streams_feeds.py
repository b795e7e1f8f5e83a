"""What readers wait on: bounded, in order, and never lost."""

from __future__ import annotations

import asyncio

import pytest

from raincheck.core import transitions
from raincheck.core.events import Event, EventType, Output
from raincheck.core.operation import Progress, Status
from raincheck.roles import feed as feed_module
from raincheck.roles import tail as tail_module
from raincheck.roles.alarm import Alarm
from raincheck.roles.feed import Feed, Portion
from raincheck.roles.owner_follower import OwnerFollower
from raincheck.roles.tail import Tail, _push
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
    waiting = feed.wait()
    assert not waiting.done()
    feed.push(portion())
    await asyncio.wait_for(waiting, 5)
    await asyncio.wait_for(feed.wait(), 5)


async def test_a_wait_ends_when_woken():
    """By an alarm, a drain or a reader that has gone."""
    feed = Feed()
    waiting = feed.wait()
    feed.wake()
    await asyncio.wait_for(waiting, 5)
    assert (feed.idle, feed.take()) == (True, [])


async def test_a_wait_ends_when_an_operation_is_lost():
    """The reader learns which one, once."""
    feed = Feed()
    waiting = feed.wait()
    feed.lose("op_1")
    await asyncio.wait_for(waiting, 5)
    assert (feed.take_gone(), feed.take_gone()) == ({"op_1"}, frozenset())


async def test_a_cancelled_wait_leaves_nothing_behind():
    """The next wait is as good as the first."""
    feed = Feed()
    waiting = feed.wait()
    waiting.cancel()
    feed.push(portion())
    await asyncio.wait_for(feed.wait(), 5)
    assert len(feed.take()) == 1


# --- alarms -------------------------------------------------------------------------------------------------------


class Clock:
    """A loop's clock and timers, moved by hand."""

    def __init__(self):
        self.now = 1000.0
        self.timers = []

    def time(self):
        return self.now

    def call_at(self, moment, act, *arguments):
        self.timers.append((moment, act, arguments))

    def move_to(self, moment):
        """Let time pass, and the timers with it."""
        while due := sorted((timer for timer in self.timers if timer[0] <= moment), key=lambda timer: timer[0]):
            self.timers.remove(due[0])
            self.now, act, arguments = due[0]
            act(*arguments)
        self.now = moment


async def test_an_alarm_wakes_a_feed_when_it_is_due_and_not_before():
    """At most a quarter of a second late, and once."""
    clock, feed = Clock(), Feed()
    alarm = Alarm(clock)
    alarm.set(feed, 1015.1)
    waiting = feed.wait()
    clock.move_to(1015.0)
    assert not waiting.done()
    clock.move_to(1015.36)
    assert waiting.done()
    waiting = feed.wait()
    clock.move_to(1100.0)
    assert not waiting.done()
    alarm.set(feed, 1115.0)
    clock.move_to(1115.0)
    assert waiting.done()


async def test_a_reader_that_gets_news_is_not_woken_at_the_old_time():
    """Each event moves the time on, without another timer."""
    clock, feed = Clock(), Feed()
    alarm = Alarm(clock)
    waiting = feed.wait()
    for second in range(60):
        clock.move_to(1000.0 + second)
        alarm.set(feed, clock.now + 15)
        assert len(clock.timers) == 1
    clock.move_to(1073.9)
    assert not waiting.done()
    clock.move_to(1074.0)
    assert waiting.done()
    assert clock.timers == []


async def test_ten_thousand_alarms_take_a_timer_for_each_quarter_of_a_second():
    """Idle readers share them, and are woken in turns."""
    clock = Clock()
    alarm = Alarm(clock)
    feeds = [Feed() for _ in range(10_000)]
    for number, feed in enumerate(feeds):
        alarm.set(feed, 1015.0 + number / 10_000)
    assert len(clock.timers) == 5
    waits = [feed.wait() for feed in feeds]
    clock.move_to(1016.25)
    assert 0 < sum(wait.done() for wait in waits) < 1000
    await asyncio.wait(waits)


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
    await asyncio.wait_for(feed.wait(), 5)


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
    _push(feeds, first)
    assert sum(bool(feed._portions) for feed in feeds) == 100
    _push(feeds, second)
    turns = 0
    while not feeds[-1]._portions or feeds[-1]._portions[-1] is not second:
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 9
    assert all(feed.take() == [first, second] for feed in feeds)


async def test_feeding_nobody_is_nothing():
    """The last reader may have gone meanwhile."""
    _push([], portion())
    _push(iter(()), portion())


async def test_readers_that_are_cut_off_in_a_turn_do_not_stop_the_others(monkeypatch):
    """Each has its own bound."""
    monkeypatch.setattr(feed_module, "_MOST_PORTIONS", 1)
    slow, quick = [Feed() for _ in range(5)], [Feed() for _ in range(5)]
    _push(slow, portion())
    _push([*slow, *quick], portion())
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

    with OwnerFollower(tail=tail, owner="me", now=NOW, cut=stuck):
        with OwnerFollower(tail=tail, owner="me", now=NOW, cut=lambda: cuts.append("left")):
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
