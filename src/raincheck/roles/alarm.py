"""Wakes silent readers: a few timers for all of them, since thousands cannot have one each."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Protocol

from raincheck.roles.turns import in_turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from raincheck.roles.feed import Feed

_SLOT = 0.25  # seconds that a reader may be woken late


class Clock(Protocol):
    """What of an event loop knows the time."""

    def time(self) -> float:
        """Return the moment."""
        ...

    def call_at(self, when: float, callback: Callable[..., object], /, *args: Any) -> object:
        """Call back at a moment."""
        ...


class Alarm:
    """Wakes each feed when it is due. A feed that moves its time on costs nothing before the old time has come."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._slots: dict[int, list[Feed]] = {}

    def set(self, feed: Feed, due: float) -> None:
        """Wake a feed at a moment of the loop's clock; set again, the moment may only be later."""
        placed = feed.due
        feed.due = due
        if not placed:
            self._place(feed)

    def _place(self, feed: Feed) -> None:
        number = math.ceil(feed.due / _SLOT)
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = []
            self._time().call_at(number * _SLOT, self._ring, number)
        slot.append(feed)

    def _time(self) -> Clock:
        return self._clock or asyncio.get_running_loop()

    def _ring(self, number: int) -> None:
        in_turns(self._slots.pop(number), self._look)

    def _look(self, feed: Feed) -> None:
        if feed.due > self._time().time():
            self._place(feed)
            return
        feed.due = 0.0
        feed.wake()
