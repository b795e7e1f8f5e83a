"""Follows the logs of many operations, each as one is followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from raincheck.roles.feed import Feed
from raincheck.roles.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raincheck.ports import EventStore
    from raincheck.roles.follower import Show
    from raincheck.roles.tail import Tail


class ManyFollower:
    """One reader of some logs; a context manager around its registration.

    :param positions: the version that the reader has of each operation.
    """

    __slots__ = ("_each", "_ids", "_tail", "feed")

    def __init__(self, *, tail: Tail, store: EventStore, positions: Mapping[str, int]) -> None:
        self._tail = tail
        self._ids = tuple(positions)
        self.feed = Feed()
        self._each = {
            each: Follower(tail=tail, store=store, operation_id=each, position=position, feed=self.feed)
            for each, position in positions.items()
        }

    def __enter__(self) -> Self:
        self._tail.enter(self._ids, self.feed)
        return self

    def __exit__(self, *exception: object) -> None:
        self._tail.leave(self._ids, self.feed)

    @property
    def ended(self) -> bool:
        """Whether nothing more can come of any operation."""
        return not self._each

    @property
    def over(self) -> bool:
        """Whether nothing more can come: all are done, the reader was cut off, or the process drains."""
        return not self._each or self.feed.overrun or self._tail.draining

    def wake_at(self, due: float) -> None:
        """Be woken at a moment of the loop's clock, or a little later; set again, it may only be later."""
        self._tail.alarm.set(self.feed, due)

    async def replay(self, show: Show) -> None:
        """Show what is stored above the positions, in portions, with the version after which each is new."""
        for follower in list(self._each.values()):
            await follower.replay(show)
            self._drop_ended(follower)

    async def advance(self, show: Show) -> None:
        """Show like ``replay`` what has come, without waiting for more."""
        for operation_id in self.feed.take_gone():
            self._each.pop(operation_id, None)
        for portion in self.feed.take():
            follower = self._each.get(portion.operation.id)
            if follower is not None:
                await follower.pass_on(portion, show)
                self._drop_ended(follower)

    def _drop_ended(self, follower: Follower) -> None:
        if follower.ended:
            self._each.pop(follower.operation_id, None)
