"""What readers wait on: bounded, in order, and never lost."""

from __future__ import annotations

import asyncio

import pytest

from raincheck.core.events import Event, EventType
from raincheck.roles import feed as feed_module
from raincheck.roles.alarm import Alarm
from raincheck.roles.feed import Feed, Portion
from raincheck.roles.tail import _push
from raincheck.testing.conformance.specimens import (
    NOW,
    an_operation,
)

pytestmark = pytest.mark.anyio


def portion(size=0, *, operation=None, follows=0):
    """Return a portion with one event of about that size."""
    operation = operation or an_operation()
    event = Event(operation.id, operation.version, 1, EventType.OUTPUT, NOW, "x" * max(0, size - 200))
    return Portion(operation, follows, [event])


async def test_a_feed_gives_portions_in_order_and_once():
    """Taking empties it."""
    feed = Feed()
    portions = [portion() for _ in range(3)]
    for each in portions:
        feed.push(each)
    assert feed.take() == portions
    assert [*feed.take()] == []


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
    assert (feed.idle, [*feed.take()]) == (True, [])


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
    feed = Feed()
    feed.when_cut_off(lambda: cuts.append(1))
    for _ in range(count - 1):
        feed.push(portion(size))
    assert (feed.overrun, cuts) == (False, [])
    feed.push(portion(size))
    assert (feed.overrun, cuts) == (True, [1])
    feed.push(portion())
    assert ([*feed.take()], cuts) == ([], [1])
    await asyncio.wait_for(feed.wait(), 5)


async def test_one_large_portion_cuts_nobody_off():
    """A reader that keeps up gets events of any size."""
    feed = Feed()
    feed.when_cut_off(lambda: pytest.fail("cut off"))
    for _ in range(3):
        large = portion(10 << 20)
        feed.push(large)
        assert feed.take() == [large]


async def test_taking_makes_room():
    """Only what waits counts."""
    feed = Feed()
    feed.when_cut_off(lambda: pytest.fail("cut off"))
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
