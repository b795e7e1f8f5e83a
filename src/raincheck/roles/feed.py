"""What a reader of event logs waits on: bounded, fed after each commit, never asking the store by itself."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from raincheck.core.events import history

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from raincheck.core.events import Event
    from raincheck.core.operation import Operation
    from raincheck.core.transitions import Change

_MOST_PORTIONS = 1000
_MOST_BYTES = 1 << 20


class Portion:
    """What one commit, or one read of the store, added to an operation's log; shared by all its readers.

    :param follows: the version that the first event comes after; a reader at another version asks the store.
    """

    __slots__ = ("events", "follows", "operation", "rendered", "size")

    def __init__(self, operation: Operation, follows: int, events: list[Event]) -> None:
        self.operation = operation
        self.follows = follows
        self.events = events
        self.size = sum(len(event.data) for event in events) + 200 * len(events)
        self.rendered: dict[str, list[tuple[Event, str]]] = {}

    @classmethod
    def of(cls, change: Change) -> Portion:
        """Return the portion of a change, with the events that the record itself holds."""
        return cls(change.operation, change.follows, history(change.operation, change.events, after=change.follows))


class Feed:
    """One reader's queue of portions. A reader that does not keep up is cut off; it resumes from its cursor."""

    __slots__ = ("_cut", "_portions", "_size", "_wake", "gone", "overrun")

    def __init__(self, *, cut: Callable[[], object] | None = None) -> None:
        self._portions: list[Portion] = []  # a deque takes 600 bytes, for each idle reader
        self._size = 0
        self._wake: asyncio.Future[None] | None = None
        self._cut = cut
        self.overrun = False
        self.gone: set[str] = set()

    def push(self, portion: Portion) -> None:
        """Queue a portion, or cut the reader off when too much waits already."""
        if self.overrun:
            return
        self._portions.append(portion)
        self._size += portion.size
        # A portion alone is never too much: one large event must not cut off readers that keep up.
        too_much = self._size > _MOST_BYTES and len(self._portions) > 1
        if len(self._portions) > _MOST_PORTIONS or too_much:
            self.overrun = True
            self._portions.clear()
            if self._cut is not None:
                self._cut()
        self.wake()

    def lose(self, operation_id: str) -> None:
        """Tell that an operation has been deleted: nothing follows."""
        self.gone.add(operation_id)
        self.wake()

    def wake(self) -> None:
        """End the wait."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def take(self) -> list[Portion]:
        """Return what waits."""
        found, self._portions = self._portions, []
        self._size = 0
        return found

    async def wait(self, deadline: float) -> None:
        """Wait until something is there, somebody wakes this reader, or the loop's clock shows the deadline."""
        if self._portions or self.overrun or self.gone:
            return
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        timer = loop.call_at(deadline, self.wake)
        try:
            await self._wake
        finally:
            timer.cancel()
            self._wake = None


def push_in_turns(feeds: Iterable[Feed], portion: Portion, *, at_once: int = 200) -> None:
    """Push to many readers without holding the loop: other requests get their turn in between."""
    loop = asyncio.get_running_loop()
    waiting = deque(feeds)

    def turn() -> None:
        for _ in range(min(at_once, len(waiting))):
            waiting.popleft().push(portion)
        if waiting:
            loop.call_soon(turn)

    turn()
