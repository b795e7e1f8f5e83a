"""Tells the engine what is queued: what this process has queued, and what anybody has whose moment has passed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from raincheck.core.dispatch_rules import dispatched_at_once
from raincheck.core.errors import StorageFull, StoreUnavailable
from raincheck.core.operation import Status
from raincheck.ports_engines import dispatch_of
from raincheck.roles.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from raincheck.core.transitions import Change
    from raincheck.ports import Kind
    from raincheck.ports_engines import Dispatch, Engine, Outbox

logger = logging.getLogger("raincheck.dispatcher")
_INTERVAL = 1.0
_ADOPT_INTERVAL = 30.0
_AT_ONCE = 500
_MOST_UNSENT = 100_000
_LAST_PATIENCE = 1.0


class Dispatcher:
    """Sends right after the commit, unless the engine heard within it; sends again what waits past its moment.

    Every process has one, whether it runs work or not: the one that queued something may be gone by now. While the
    engine refuses, what it was to be told is kept here and no moment is moved, so that it hears all as soon as it can.
    """

    def __init__(
        self,
        *,
        store: Outbox,
        engine: Engine,
        kinds: Mapping[str, Kind],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._engine = engine
        self._kinds = tuple(kinds)
        self._clock = clock
        self._unsent: dict[tuple[str, int], Dispatch] = {}
        self._wake = asyncio.Event()
        self._look_at = 0.0
        self._adopt_at = 0.0
        self._engine_trouble = Trouble(logger, f"{engine.name} could not be told of queued operations")
        self._store_trouble = Trouble(logger, "operations that wait for the engine could not be looked for")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with a look at once: after a crash this is what tells the engine."""
        self._look_now()
        self._task = asyncio.create_task(self._work(), name="raincheck-dispatcher")

    async def stop(self) -> None:
        """Send what waits, if the engine takes it at once; what it does not take is told by another process."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_LAST_PATIENCE):
                await self._send()

    def committed(self, changes: Sequence[Change]) -> None:
        """Send what this process has queued."""
        terms = self._engine.terms
        for change in changes:
            operation = change.operation
            if operation.status is not Status.QUEUED:
                continue
            if not dispatched_at_once(operation, terms):
                wait = (operation.run_at - self._clock()).total_seconds()
                if wait < 60:  # noqa: PLR2004 - later ones are found by polling
                    asyncio.get_running_loop().call_later(max(0.0, wait), self._look_now)
            elif not self._engine.transactional:
                self._keep(dispatch_of(operation))
                self._wake.set()

    def _keep(self, dispatch: Dispatch) -> None:
        if len(self._unsent) < _MOST_UNSENT:  # beyond that their moments, in the store, must do
            self._unsent[dispatch.id, dispatch.run] = dispatch

    async def _work(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._send()
            except Exception as error:  # noqa: BLE001 - an engine may raise whatever its server's client does
                self._engine_trouble.met(error)
                await asyncio.sleep(_INTERVAL)
                continue
            self._engine_trouble.over()
            if asyncio.get_running_loop().time() < self._look_at:
                continue
            try:
                await self.run_once()
            except (StoreUnavailable, StorageFull) as error:
                self._store_trouble.met(error)
            except Exception:
                logger.exception("operations that wait for the engine could not be looked for; trying again")
            else:
                self._store_trouble.over()

    def _look_now(self) -> None:
        self._look_at = 0.0
        self._wake.set()

    async def _send(self) -> None:
        while self._unsent:
            batch = dict(list(self._unsent.items())[:_AT_ONCE])
            await self._engine.dispatch(list(batch.values()))
            for key in batch:
                self._unsent.pop(key, None)

    async def run_once(self) -> None:
        """Look once for what waits past its moment, whoever queued it."""
        now = self._clock()
        monotonic = asyncio.get_running_loop().time()
        self._look_at = monotonic + _INTERVAL
        if monotonic >= self._adopt_at:
            self._adopt_at = monotonic + _ADOPT_INTERVAL
            adopted = await self._store.adopt(now=now)
            if adopted:
                logger.info("%s is told of %d operations that were queued without it", self._engine.name, adopted)
        overdue = await self._store.take_overdue(self._kinds, now=now, limit=_AT_ONCE)
        for operation in overdue:
            self._keep(dispatch_of(operation))
        if overdue:
            self._look_now()
