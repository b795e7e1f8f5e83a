"""Follows the log of an operation from a cursor: every event once, in order, live, over any loss of a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from raincheck.roles.feed import Feed, Portion

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from raincheck.core.operation import Operation
    from raincheck.ports import EventStore
    from raincheck.roles.tail import Tail

    Show = Callable[[Portion, int], Awaitable[None]]


class Follower:
    """One reader of one log; a context manager around its registration.

    Thousands of idle readers each keep one, and an event touches all that they keep: so it is small.

    :param position: the version that the reader has.
    :param feed: where it waits together with other logs; None: its own.

    ``ended`` says that nothing more can come of the operation: all was shown, or it was deleted.
    """

    __slots__ = ("_store", "_tail", "ended", "feed", "operation_id", "position")

    def __init__(
        self, *, tail: Tail, store: EventStore, operation_id: str, position: int, feed: Feed | None = None
    ) -> None:
        self._tail = tail
        self._store = store
        self.operation_id = operation_id
        self.position = position
        self.ended = False
        self.feed = Feed() if feed is None else feed

    def __enter__(self) -> Self:
        self._tail.enter((self.operation_id,), self.feed)
        return self

    def __exit__(self, *exception: object) -> None:
        self._tail.leave((self.operation_id,), self.feed)

    @property
    def over(self) -> bool:
        """Whether nothing more can come: all is done, the reader was cut off, or the process drains."""
        return self.ended or self.feed.overrun or self._tail.draining

    def wake_at(self, due: float) -> None:
        """Be woken at a moment of the loop's clock, or a little later; set again, it may only be later."""
        self._tail.alarm.set(self.feed, due)

    async def replay(self, show: Show) -> None:
        """Show what is stored above the position, in portions, with the version after which each is new."""
        while not self.ended:
            position = self.position
            found = (await self._store.events_after({self.operation_id: position})).get(self.operation_id)
            if found is None:
                self.ended = True
                return
            operation, events = found
            self._tail.saw(operation)
            if not events:
                self._move_to(position, operation)
                return
            reached = events[-1].version
            self._move_to(reached, operation)
            await show(Portion(operation, position, events), position)
            if reached >= operation.version:
                return

    async def advance(self, show: Show) -> None:
        """Show like ``replay`` what has come, without waiting for more."""
        feed = self.feed
        if feed.gone:
            feed.take_gone()
            self.ended = True
        for portion in feed.take():
            await self.pass_on(portion, show)

    def pass_on(self, portion: Portion, show: Show) -> Awaitable[None]:
        """Show what is new of a portion of this log, and what may be missing before it; no coroutine of its own."""
        operation, position = portion.operation, self.position
        if self.ended or operation.version <= position:
            return nothing()
        if portion.follows > position:
            return self.replay(show)
        self._move_to(operation.version, operation)
        return show(portion, position)

    def _move_to(self, version: int, operation: Operation) -> None:
        self.position = version
        self.ended = operation.done and version >= operation.version


async def nothing() -> None:
    """Be awaited where there is nothing to do."""
