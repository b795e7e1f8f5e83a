"""Counts what waits and what runs in the whole store: gauges that no process knows by itself."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from raincheck.core.errors import StorageFull, StoreUnavailable
from raincheck.roles.trouble import Trouble
from raincheck.telemetry.instruments import readings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from raincheck.ports import OverviewStore
    from raincheck.telemetry.instruments import Reading

logger = logging.getLogger("raincheck.census")
_COUNTS = 1.0
_PERIOD = 10.0
_BOUND = 5.0
_SHARE = 9  # a large queue takes long to count: rest nine times as long as it took


class Census:
    """Counts when a scraper asks, at most once a second; for readers that cannot wait, every ten seconds.

    :param kinds: names of those that this process knows.
    :param periodic: whether somebody reads ``latest`` without asking.
    """

    def __init__(
        self,
        *,
        overview: OverviewStore,
        clock: Callable[[], datetime],
        kinds: Sequence[str],
        periodic: bool,
    ) -> None:
        self._overview = overview
        self._clock = clock
        self._kinds = tuple(kinds)
        self._periodic = periodic
        self._one_at_a_time = asyncio.Lock()
        self._counts_until = float("-inf")
        self._trouble = Trouble(logger, "the queue could not be counted for metrics")
        self._task: asyncio.Task[None] | None = None
        self.latest: tuple[Reading, ...] = ()

    async def start(self) -> None:
        """Begin to count by itself, where somebody needs it."""
        if self._periodic:
            self._task = asyncio.create_task(self._work(), name="raincheck-census")

    async def stop(self) -> None:
        """Count no more; gauges of a process that has ended would stand still."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self.latest = ()

    async def take(self) -> tuple[Reading, ...]:
        """Return the gauges of now or of the last second; none while the store cannot be read."""
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:
            began = loop.time()
            if began >= self._counts_until:
                await self._count()
                took = loop.time() - began
                self._counts_until = loop.time() + max(_COUNTS, _SHARE * took)
            return self.latest

    async def _count(self) -> None:
        now = self._clock()
        try:
            async with asyncio.timeout(_BOUND):
                found = await self._overview.overview(now=now, since=now, bucket=timedelta(minutes=1), most=1)
        except (StoreUnavailable, StorageFull, TimeoutError) as error:
            self._trouble.met(error)
            self.latest = ()
        else:
            self._trouble.over()
            self.latest = tuple(readings(found, kinds=self._kinds, now=now))

    async def _work(self) -> None:
        while True:
            try:
                await self.take()
            except Exception:
                logger.exception("the queue could not be counted for metrics; trying again")
                self.latest = ()
            await asyncio.sleep(_PERIOD)
