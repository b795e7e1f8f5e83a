"""Follows the logs of some operations from cursors: every event once, in order, live, over any loss of a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from raincheck.roles.feed import Feed, Portion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractContextManager

    from raincheck.core.operation import Operation
    from raincheck.ports import EventStore
    from raincheck.roles.tail import Tail


class Follower:
    """One reader. ``positions`` says what it has of each operation; a context manager around its registration.

    :param cut: called when the reader does not keep up and is cut off.
    """

    def __init__(
        self,
        *,
        tail: Tail,
        store: EventStore,
        positions: Mapping[str, int],
        cut: Callable[[], object] | None = None,
    ) -> None:
        self._tail = tail
        self._store = store
        self._registered: AbstractContextManager[None] | None = None
        self.positions = dict(positions)
        self.unfinished = set(positions)
        self.feed = Feed(cut=cut)

    def __enter__(self) -> Self:
        self._registered = self._tail.follow(self.positions, self.feed)
        self._registered.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._registered is not None:
            self._registered.__exit__(None, None, None)

    @property
    def over(self) -> bool:
        """Whether nothing more can come: all is done, the reader was cut off, or the process drains."""
        return not self.unfinished or self.feed.overrun or self._tail.draining

    async def replay(self) -> AsyncIterator[tuple[Portion, int]]:
        """Give what is stored above the positions, in portions, with the version after which each is new."""
        for operation_id in list(self.positions):
            async for found in self._read(operation_id):
                yield found

    async def advance(self, deadline: float) -> AsyncIterator[tuple[Portion, int]]:
        """Wait for news until the loop's clock shows the deadline, then give it like ``replay``."""
        await self.feed.wait(deadline)
        self.unfinished -= self.feed.gone
        self.feed.gone.clear()
        for portion in self.feed.take():
            operation = portion.operation
            position = self.positions[operation.id]
            if operation.version <= position:
                continue
            if portion.follows > position:
                async for found in self._read(operation.id):
                    yield found
            else:
                self._moved_to(operation, operation.version)
                yield portion, position

    async def _read(self, operation_id: str) -> AsyncIterator[tuple[Portion, int]]:
        while True:
            position = self.positions[operation_id]
            found = (await self._store.events_after({operation_id: position})).get(operation_id)
            if found is None:
                self.unfinished.discard(operation_id)
                return
            operation, events = found
            self._tail.saw(operation)
            if not events:
                self._moved_to(operation, position)
                return
            reached = events[-1].version
            self._moved_to(operation, reached)
            yield Portion(operation, position, events), position
            if reached >= operation.version:
                return

    def _moved_to(self, operation: Operation, version: int) -> None:
        self.positions[operation.id] = version
        if operation.done and version >= operation.version:
            self.unfinished.discard(operation.id)
