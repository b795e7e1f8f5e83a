"""Follows the status of all that an owner has, live and without replay."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Self

from raincheck.core.events import Event, EventType, status_data
from raincheck.core.moments import rfc3339
from raincheck.roles.feed import Feed, Portion

if TYPE_CHECKING:
    from datetime import datetime

    from raincheck.core.operation import Operation
    from raincheck.roles.follower import Show
    from raincheck.roles.tail import Tail

_REMEMBERED = 10_000
_SHOWN = frozenset({EventType.STATUS, EventType.DONE})


class OwnerFollower:
    """One reader of ``status`` and ``done`` events; it shows each version of an operation once.

    :param owner: None is the operator, who sees all.
    """

    def __init__(self, *, tail: Tail, owner: str | None, now: datetime) -> None:
        self._tail = tail
        self._owner = owner
        self._now = now
        self._shown: OrderedDict[str, tuple[int, object]] = OrderedDict()
        self.feed = Feed()

    def __enter__(self) -> Self:
        self._tail.enter_owner(self._owner, self.feed, now=self._now)
        return self

    def __exit__(self, *exception: object) -> None:
        self._tail.leave_owner(self._owner, self.feed)

    @property
    def over(self) -> bool:
        """Whether the reader was cut off or the process drains."""
        return self.feed.overrun or self._tail.draining

    def wake_at(self, due: float) -> None:
        """Be woken at a moment of the loop's clock, or a little later; set again, it may only be later."""
        self._tail.alarm.set(self.feed, due)

    async def replay(self, show: Show) -> None:
        """Show nothing: the reader has just fetched the list."""

    async def advance(self, show: Show) -> None:
        """Show what has come, without waiting for more."""
        for portion in self.feed.take():
            operation = portion.operation
            version, known = self._shown.get(operation.id, (0, None))
            if operation.version <= version:
                continue
            # What another process wrote may be progress only, which this reader is not shown.
            standing = (operation.status, operation.attempt, operation.next_attempt_at)
            self._shown[operation.id] = operation.version, standing
            self._shown.move_to_end(operation.id)
            if len(self._shown) > _REMEMBERED:
                self._shown.popitem(last=False)
            events = [event for event in portion.events if event.type in _SHOWN]
            if not portion.events:
                events = [_as_it_is(operation)] if standing != known else []
            if events:
                await show(Portion(operation, portion.follows, events), 0)


def _as_it_is(operation: Operation) -> Event:
    """Return the event that brings a reader to the record as it was read."""
    if operation.done:
        return Event(operation.id, operation.version, operation.run, EventType.DONE, operation.updated_at)
    due = operation.next_attempt_at
    data = status_data(
        operation.status,
        attempt=operation.attempt,
        next_attempt_at=None if due is None else rfc3339(due),
    )
    return Event(operation.id, operation.version, operation.run, EventType.STATUS, operation.updated_at, data)
