"""What a reader of event logs waits on: bounded, fed after each commit, never asking the store by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from raincheck.core.events import history

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from raincheck.core.events import Event
    from raincheck.core.operation import Operation
    from raincheck.core.transitions import Change

_MOST_PORTIONS = 1000
_MOST_BYTES = 1 << 20
_NOTHING: frozenset[str] = frozenset()


class Portion:
    """What one commit, or one read of the store, added to an operation's log; shared by all its readers.

    :param follows: the version that the first event comes after; a reader at another version asks the store.

    ``rendered`` and ``framed`` keep what was made for one reader for the others that want the same, ``texts`` what was
    made for the latest: readers of sockets choose what to call the operation, mostly alike.
    """

    __slots__ = ("events", "follows", "framed", "operation", "rendered", "size", "texts")

    def __init__(self, operation: Operation, follows: int, events: list[Event]) -> None:
        self.operation = operation
        self.follows = follows
        self.events = events
        self.size = sum(len(event.data) for event in events) + 200 * len(events)
        self.rendered: dict[str, list[tuple[Event, str]]] = {}
        self.framed: dict[Hashable, bytes] = {}
        self.texts: tuple[Hashable, list[str]] = (None, [])

    @classmethod
    def of(cls, change: Change) -> Portion:
        """Return the portion of a change, with the events that the record itself holds."""
        return cls(change.operation, change.follows, history(change.operation, change.events, after=change.follows))


class Feed:
    """One reader's queue of portions. A reader that does not keep up is cut off; it resumes from its cursor.

    ``due`` belongs to the alarm that wakes the reader in silence.
    """

    __slots__ = ("_cut", "_portions", "_size", "_wake", "due", "gone", "overrun")

    def __init__(self) -> None:
        self._portions: list[Portion] | tuple[()] = ()  # no list, and no deque of 600 bytes, for each idle reader
        self._size = 0
        self._wake: asyncio.Future[None] | None = None
        self._cut: Callable[[], object] | None = None
        self.due = 0.0
        self.overrun = False
        self.gone = _NOTHING

    def push(self, portion: Portion) -> None:
        """Queue a portion, or cut the reader off when too much waits already."""
        if self.overrun:
            return
        if self._portions:
            self._portions.append(portion)
        else:
            self._portions = [portion]
        self._size += portion.size
        # A portion alone is never too much: one large event must not cut off readers that keep up.
        too_much = self._size > _MOST_BYTES and len(self._portions) > 1
        if len(self._portions) > _MOST_PORTIONS or too_much:
            self.cut_off()
        self.wake()

    def when_cut_off(self, callback: Callable[[], object]) -> None:
        """Call back when the reader is cut off."""
        self._cut = callback

    def cut_off(self) -> None:
        """Give the reader nothing more."""
        self.overrun = True
        self._portions = ()
        if self._cut is not None:
            self._cut()

    def lose(self, operation_id: str) -> None:
        """Tell that an operation has been deleted: nothing follows."""
        self.gone |= {operation_id}
        self.wake()

    def wake(self) -> None:
        """End the wait."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to take."""
        return not (self._portions or self.overrun or self.gone)

    def take(self) -> Sequence[Portion]:
        """Return what waits."""
        found, self._portions = self._portions, ()
        self._size = 0
        return found

    def take_gone(self) -> frozenset[str]:
        """Return what has been deleted since the last time."""
        found, self.gone = self.gone, _NOTHING
        return found

    def wait(self) -> asyncio.Future[None]:
        """Return what to await until something is there or somebody wakes this reader.

        A future and no coroutine, and no timer of its own: thousands of idle readers keep what is made here.
        """
        self._wake = asyncio.get_running_loop().create_future()
        if not self.idle:
            self._wake.set_result(None)
        return self._wake
