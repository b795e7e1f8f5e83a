"""Follows the status of all that an owner has, live and without replay."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Self

from raincheck.core.events import Event, EventType, status_data
from raincheck.core.moments import rfc3339
from raincheck.roles.feed import Feed, Portion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from raincheck.core.operation import Operation
    from raincheck.roles.tail import Tail

_REMEMBERED = 10_000
_SHOWN = frozenset({EventType.STATUS, EventType.DONE})


class OwnerFollower:
    """One reader of ``status`` and ``done`` events; it shows each version of an operation once.

    :param owner: None is the operator, who sees all.
    """

    def __init__(
        self, *, tail: Tail, owner: str | None, now: datetime, cut: Callable[[], object] | None = None
    ) -> None:
        self._tail = tail
        self._owner = owner
        self._now = now
        self._registered = contextlib.ExitStack()
        self._shown: OrderedDict[str, tuple[int, object]] = OrderedDict()
        self.feed = Feed(cut=cut)

    def __enter__(self) -> Self:
        self._registered.enter_context(self._tail.follow_owner(self._owner, self.feed, now=self._now))
        return self

    def __exit__(self, *exception: object) -> None:
        self._registered.close()

    @property
    def over(self) -> bool:
        """Whether the reader was cut off or the process drains."""
        return self.feed.overrun or self._tail.draining

    async def replay(self) -> AsyncIterator[tuple[Portion, int]]:
        """Give nothing: the reader has just fetched the list."""
        nothing: tuple[tuple[Portion, int], ...] = ()
        for each in nothing:
            yield each

    async def advance(self, deadline: float) -> AsyncIterator[tuple[Portion, int]]:
        """Wait for news until the loop's clock shows the deadline, then give it."""
        await self.feed.wait(deadline)
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
                yield Portion(operation, portion.follows, events), 0


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
