"""Feeds waiting readers: one reader of the store per process, not per client.

What this process writes reaches its readers after the commit without a query. What another process writes is
read in one query for all watched operations, after a signal, and once a second behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from operator import methodcaller
from typing import TYPE_CHECKING, Self, TypeVar

from raincheck.core.errors import StoreUnavailable
from raincheck.roles.alarm import Alarm
from raincheck.roles.feed import Portion
from raincheck.roles.looks import rest_after
from raincheck.roles.turns import in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from raincheck.core.events import Event
    from raincheck.core.operation import Operation
    from raincheck.core.transitions import Change
    from raincheck.ports import EventStore, OverviewStore
    from raincheck.roles.feed import Feed

K = TypeVar("K")
R = TypeVar("R")
logger = logging.getLogger("raincheck.tail")
_POLL = 1.0
_LAST_FRAMES_WITHIN = 0.8  # of the second in which a drain ends streams


class Watcher:
    """One reader's wait for newer versions of one operation; a context manager, which hears of it while inside."""

    __slots__ = ("_id", "_wake", "_watchers", "newest")

    def __init__(self, operation_id: str, watchers: dict[str, set[Watcher]]) -> None:
        self._id = operation_id
        self._watchers = watchers
        self._wake: asyncio.Future[None] | None = None
        self.newest: Operation | None = None

    def __enter__(self) -> Self:
        self._watchers.setdefault(self._id, set()).add(self)
        return self

    def __exit__(self, *exception: object) -> None:
        _discard(self._watchers, self._id, self)

    def advance(self, operation: Operation) -> None:
        """Take a newer record."""
        if self.newest is None or operation.version > self.newest.version:
            self.newest = operation
            self.wake()

    def wake(self) -> None:
        """End the wait without news."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def wait(self, deadline: float) -> bool:
        """Wait for a wake-up until a moment of the loop's clock; False when the time passed."""
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        handle = loop.call_at(deadline, self.wake)
        try:
            await self._wake
        finally:
            handle.cancel()
            self._wake = None
        return loop.time() < deadline


class Tail:
    """Owns the watchers of a process."""

    def __init__(self, *, store: EventStore, overview: OverviewStore | None = None) -> None:
        self._store = store
        self._overview = overview
        self._watchers: dict[str, set[Watcher]] = {}
        self._feeds: dict[str, set[Feed]] = {}
        self._seen: dict[str, int] = {}
        self._owner_feeds: dict[str | None, set[Feed]] = {}
        self._owners_seen: dict[str | None, tuple[datetime, frozenset[tuple[str, int]]]] = {}
        self._at_drain: set[Callable[[], None]] = set()
        self._noticed = asyncio.Event()
        self.alarm = Alarm()
        self._task: asyncio.Task[None] | None = None
        self.draining = False

    async def start(self) -> None:
        """Start reading what other processes write."""
        self._task = asyncio.create_task(self._follow(), name="raincheck-tail")

    async def stop(self) -> None:
        """Stop reading."""
        self.drain()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def drain(self) -> None:
        """End all waits early, now and from now on; readers that do not take their last frames are cut off."""
        if self.draining:
            return
        self.draining = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.wake()
        for feed in self._all_feeds():
            feed.wake()
        for callback in list(self._at_drain):
            callback()
        # Servers wait for their connections without end, and a reader that does not read has no end.
        asyncio.get_running_loop().call_later(_LAST_FRAMES_WITHIN, self._cut_off_all)

    def _cut_off_all(self) -> None:
        for feed in self._all_feeds():
            feed.cut_off()

    def _all_feeds(self) -> list[Feed]:
        return [feed for feeds in (*self._feeds.values(), *self._owner_feeds.values()) for feed in feeds]

    def when_draining(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when the process drains, at once if it does already; return what takes the wish back."""
        if self.draining:
            callback()
        self._at_drain.add(callback)
        return lambda: self._at_drain.discard(callback)

    def enter(self, operation_ids: Iterable[str], feed: Feed) -> None:
        """Feed a reader with all that is added to some logs; enter first, then read what is there."""
        for operation_id in operation_ids:
            self._feeds.setdefault(operation_id, set()).add(feed)

    def leave(self, operation_ids: Iterable[str], feed: Feed) -> None:
        """Feed it no more."""
        for operation_id in operation_ids:
            _discard(self._feeds, operation_id, feed)
            if operation_id not in self._feeds:
                self._seen.pop(operation_id, None)

    def enter_owner(self, owner: str | None, feed: Feed, *, now: datetime) -> None:
        """Feed a reader with the changes of all that an owner has; None is the operator, who sees all."""
        self._owners_seen.setdefault(owner, (now, frozenset()))
        self._owner_feeds.setdefault(owner, set()).add(feed)

    def leave_owner(self, owner: str | None, feed: Feed) -> None:
        """Feed it no more."""
        _discard(self._owner_feeds, owner, feed)
        if owner not in self._owner_feeds:
            self._owners_seen.pop(owner, None)

    def watch(self, operation_id: str) -> Watcher:
        """Watch an operation; register first, then read its record, so that no change falls between."""
        return Watcher(operation_id, self._watchers)

    def committed(self, changes: Sequence[Change]) -> None:
        """Pass on what this process wrote."""
        if not (self._watchers or self._feeds or self._owner_feeds):
            return
        for change in changes:
            operation = change.operation
            for watcher in self._watchers.get(operation.id, ()):
                watcher.advance(operation)
            feeds = self._feeds.get(operation.id)
            if not feeds and not self._owner_feeds:
                continue
            owned = [*self._owner_feeds.get(operation.owner, ()), *self._owner_feeds.get(None, ())]
            if not feeds and not owned:
                continue
            portion = Portion.of(change)
            if feeds:
                self._seen[operation.id] = operation.version
                _push(feeds, portion)
            if owned:
                _push(owned, portion)

    def notice(self) -> None:
        """Another process has written something."""
        self._noticed.set()

    def saw(self, operation: Operation) -> None:
        """Learn how far the readers of a log have read by themselves."""
        if operation.id in self._feeds:
            self._seen.setdefault(operation.id, operation.version)

    async def run_once(self) -> None:
        """Look once for what other processes wrote: one query for all, then the events of what has changed."""
        watched = {
            operation_id: max((watcher.newest.version for watcher in watchers if watcher.newest), default=0)
            for operation_id, watchers in self._watchers.items()
        }
        known = {operation_id: self._seen.get(operation_id, 0) for operation_id in self._feeds}
        wanted = {**known, **{each: min(version, known.get(each, version)) for each, version in watched.items()}}
        if wanted:
            versions = await self._store.versions(list(wanted))
            cursors = {each: after for each, after in wanted.items() if versions.get(each, 0) > after}
            if cursors:
                self._pass_on(await self._store.events_after(cursors))
            for operation_id in wanted.keys() - versions.keys():
                for feed in self._feeds.get(operation_id, ()):
                    feed.lose(operation_id)
        for owner in list(self._owners_seen):
            await self._pass_on_owned(owner)

    def _pass_on(self, found: dict[str, tuple[Operation, list[Event]]]) -> None:
        for operation_id, (operation, events) in found.items():
            for watcher in self._watchers.get(operation_id, ()):
                watcher.advance(operation)
            feeds = self._feeds.get(operation_id)
            seen = self._seen.get(operation_id)
            if not feeds or operation.version == seen:
                continue
            # After a first look, and when the limit cut the log, the readers are only told: they ask the store.
            whole = seen is not None and bool(events) and events[-1].version == operation.version
            self._seen[operation_id] = operation.version
            portion = (
                Portion(operation, seen or 0, [event for event in events if event.version > (seen or 0)])
                if whole
                else Portion(operation, operation.version, [])
            )
            _push(feeds, portion)

    async def _pass_on_owned(self, owner: str | None) -> None:
        seen = self._owners_seen.get(owner)
        if seen is None:  # its last reader left while others were looked for
            return
        since, known = seen
        found = await self._changed_since(owner, since)
        changed = [each for each in found if (each.id, each.version) not in known]
        if not changed or owner not in self._owners_seen:
            return
        newest = max(each.updated_at for each in found)
        self._owners_seen[owner] = newest, frozenset((e.id, e.version) for e in found if e.updated_at == newest)
        # The list has no results, and `done` shows the whole resource.
        ended = {each.id: each.version - 1 for each in changed if each.done}
        whole = await self._store.events_after(ended) if ended else {}
        for each in changed:
            operation = whole[each.id][0] if each.id in whole else each
            _push(self._owner_feeds.get(owner, ()), Portion(operation, operation.version, []))

    async def _changed_since(self, owner: str | None, since: datetime) -> list[Operation]:
        if owner is not None:
            return await self._store.changed_since(owner, since)
        return [] if self._overview is None else await self._overview.changed_by_anyone(since)

    @property
    def _watched(self) -> int:
        return len(self._watchers) + len(self._feeds) + len(self._owners_seen)

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await self._noticed.wait()
            self._noticed.clear()
            began = loop.time()
            try:
                await self.run_once()
            except StoreUnavailable:
                logger.debug("the store is away; the next look finds it all")
            except Exception:
                logger.exception("waiting readers could not be fed; trying again")
            await asyncio.sleep(min(_POLL, rest_after(loop.time() - began, watched=self._watched)))


def _discard(feeds: dict[K, set[R]], key: K, feed: R) -> None:
    feeds[key].discard(feed)
    if not feeds[key]:
        del feeds[key]


def _push(feeds: Iterable[Feed], portion: Portion) -> None:
    in_turns(feeds, methodcaller("push", portion))
