"""Follows the logs of some operations from cursors: every event once, in order, live, over any loss of a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from raincheck.roles.feed import Feed, Portion

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from raincheck.core.operation import Operation
    from raincheck.ports import EventStore
    from raincheck.roles.tail import Tail

    Show = Callable[[Portion, int], Awaitable[None]]


class Follower:
    """One reader; a context manager around its registration.

    ``positions`` says what it has of each operation that is not over.
    """

    __slots__ = ("_ids", "_store", "_tail", "feed", "positions")

    def __init__(
        self,
        *,
        tail: Tail,
        store: EventStore,
        positions: Mapping[str, int],
    ) -> None:
        self._tail = tail
        self._store = store
        self._ids = tuple(positions)
        self.positions = dict(positions)
        self.feed = Feed()

    def __enter__(self) -> Self:
        self._tail.enter(self._ids, self.feed)
        return self

    def __exit__(self, *exception: object) -> None:
        self._tail.leave(self._ids, self.feed)

    @property
    def over(self) -> bool:
        """Whether nothing more can come: all is done, the reader was cut off, or the process drains."""
        return not self.positions or self.feed.overrun or self._tail.draining

    def wake_at(self, due: float) -> None:
        """Be woken at a moment of the loop's clock, or a little later; set again, it may only be later."""
        self._tail.alarm.set(self.feed, due)

    async def replay(self, show: Show) -> None:
        """Show what is stored above the positions, in portions, with the version after which each is new."""
        for operation_id in self._ids:
            await self._read(operation_id, show)

    async def advance(self, show: Show) -> None:
        """Show like ``replay`` what has come, without waiting for more."""
        for operation_id in self.feed.take_gone():
            self.positions.pop(operation_id, None)
        for portion in self.feed.take():
            operation = portion.operation
            position = self.positions.get(operation.id)
            if position is None or operation.version <= position:
                continue
            if portion.follows > position:
                await self._read(operation.id, show)
            else:
                self._moved_to(operation, operation.version)
                await show(portion, position)

    async def _read(self, operation_id: str, show: Show) -> None:
        while operation_id in self.positions:
            position = self.positions[operation_id]
            found = (await self._store.events_after({operation_id: position})).get(operation_id)
            if found is None:
                self.positions.pop(operation_id, None)
                return
            operation, events = found
            self._tail.saw(operation)
            if not events:
                self._moved_to(operation, position)
                return
            reached = events[-1].version
            self._moved_to(operation, reached)
            await show(Portion(operation, position, events), position)
            if reached >= operation.version:
                return

    def _moved_to(self, operation: Operation, version: int) -> None:
        if operation.done and version >= operation.version:
            self.positions.pop(operation.id, None)
        else:
            self.positions[operation.id] = version
