"""Feeds waiting readers: one reader of the store per process, not per client.

What this process writes reaches its readers after the commit without a query. What another process writes is
read in one query for all watched operations, after a signal, and once a second behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from raincheck.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from raincheck.core.operation import Operation
    from raincheck.core.transitions import Change
    from raincheck.ports import EventStore

logger = logging.getLogger("raincheck.tail")
_POLL = 1.0


class Watcher:
    """One reader's wait for newer versions of one operation."""

    __slots__ = ("_wake", "newest")

    def __init__(self) -> None:
        self.newest: Operation | None = None
        self._wake: asyncio.Future[None] | None = None

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

    def __init__(self, *, store: EventStore) -> None:
        self._store = store
        self._watchers: dict[str, set[Watcher]] = {}
        self._noticed = asyncio.Event()
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
        """End all waits early, now and from now on."""
        self.draining = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.wake()

    @contextlib.contextmanager
    def watch(self, operation_id: str) -> Iterator[Watcher]:
        """Watch an operation; register first, then read its record, so that no change falls between."""
        watcher = Watcher()
        self._watchers.setdefault(operation_id, set()).add(watcher)
        try:
            yield watcher
        finally:
            watchers = self._watchers[operation_id]
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[operation_id]

    def committed(self, changes: Sequence[Change]) -> None:
        """Pass on what this process wrote."""
        if not self._watchers:
            return
        for change in changes:
            for watcher in self._watchers.get(change.operation.id, ()):
                watcher.advance(change.operation)

    def notice(self) -> None:
        """Another process has written something."""
        self._noticed.set()

    async def run_once(self) -> None:
        """Read all watched operations once."""
        if not self._watchers:
            return
        cursors = {
            operation_id: max((watcher.newest.version for watcher in watchers if watcher.newest), default=0)
            for operation_id, watchers in self._watchers.items()
        }
        found = await self._store.events_after(cursors)
        for operation_id, (operation, _) in found.items():
            for watcher in self._watchers.get(operation_id, ()):
                watcher.advance(operation)

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await self._noticed.wait()
            self._noticed.clear()
            try:
                await self.run_once()
            except StoreUnavailable:
                continue
            except Exception:
                logger.exception("waiting readers could not be fed; trying again")
