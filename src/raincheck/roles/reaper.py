"""Ends what nobody else ends: leases of dead or silent workers, passed deadlines."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from raincheck.core import transitions
from raincheck.core.errors import LeaseLost, StorageFull, StoreUnavailable
from raincheck.own_threads import in_own_thread
from raincheck.roles.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from raincheck.core.operation import Operation
    from raincheck.core.transitions import Change
    from raincheck.ports import Lease, Liveness, OperationStore

logger = logging.getLogger("raincheck.reaper")
_INTERVAL = 0.5
_TOLERANCE = 1.0


class Reaper:
    """Looks twice a second, or more often. A dead process is seen by its lock at once, a silent one after its lease.

    No lease is judged for one lease time at first, after a pause of this process, a jump of the clock, or while the
    store refused writes: the clock may have jumped, and the others may have been paused or kept from renewing.
    """

    def __init__(
        self,
        *,
        store: OperationStore,
        liveness: Liveness,
        lease: timedelta,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._liveness = liveness
        self._lease = lease.total_seconds()
        # Well below the half lease that counts as a pause: else each look would be late and no lease ever judged.
        self._interval = min(_INTERVAL, self._lease / 6)
        self._tolerance = min(_TOLERANCE, self._lease / 3)
        self._clock = clock
        self._monotonic = monotonic
        self._last: tuple[datetime, float] | None = None
        self._judge_leases_from = 0.0
        self._tidied = False
        self._trouble = Trouble(logger, "expired work could not be looked for")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with a look at once: after a crash this is what takes the work over."""
        self._task = asyncio.create_task(self._work(), name="raincheck-reaper")

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            try:
                await self.run_once()
            except (StoreUnavailable, StorageFull) as error:
                self._spare_leases()
                self._trouble.met(error)
            except Exception:
                logger.exception("expired work could not be looked for; trying again")
            else:
                self._trouble.over()
            await asyncio.sleep(self._interval)

    async def run_once(self) -> None:
        """Look once."""
        now = self._clock()
        self._notice_pause(now)
        overdue = await self._store.overdue(now)
        for worker, leases in overdue.holders.items():
            if await in_own_thread(self._liveness.is_dead, worker):
                logger.warning("worker %s is dead; its %d operations are taken over", worker, len(leases))
                await self._all([self._lose(lease) for lease in leases])
        if not self._tidied:
            self._tidied = True
            await in_own_thread(self._tidy, set(overdue.holders))
        if self._monotonic() >= self._judge_leases_from:
            await self._all([self._expire(lease, now) for lease in overdue.expired_leases])
        await self._all([self._deadline(operation_id) for operation_id in overdue.deadlines])

    def _tidy(self, holders: set[str]) -> None:
        """Drop the traces of dead workers that hold nothing; those of others are what tells that they are dead."""
        for worker in self._liveness.workers():
            if worker not in holders and self._liveness.is_dead(worker):
                self._liveness.forget(worker)

    def _notice_pause(self, now: datetime) -> None:
        monotonic = self._monotonic()
        if self._last is None:
            self._spare_leases()
        else:
            wall_passed = (now - self._last[0]).total_seconds()
            passed = monotonic - self._last[1]
            late = passed > self._lease / 2
            jumped = abs(wall_passed - passed) > self._tolerance
            if late or jumped:
                self._spare_leases()
        self._last = (now, monotonic)

    def _spare_leases(self) -> None:
        self._judge_leases_from = self._monotonic() + self._lease

    async def _all(self, changes: list[asyncio.Future[None]]) -> None:
        """Wait for all, so that one failure leaves no change behind unobserved."""
        for result in await asyncio.gather(*changes, return_exceptions=True):
            if result is not None:
                raise result

    def _lose(self, lease: Lease) -> asyncio.Future[None]:
        return self._change(lease.id, lambda found: transitions.lose(found, run=lease.run, now=self._clock()))

    def _expire(self, lease: Lease, now: datetime) -> asyncio.Future[None]:
        looked = self._monotonic()

        def expire(found: Operation) -> Change | None:
            if (
                self._monotonic() - looked > self._tolerance
            ):  # what held up this write held up the renewals of the living
                self._spare_leases()
                return None
            return transitions.expire_lease(found, run=lease.run, now=now)

        return self._change(lease.id, expire)

    def _deadline(self, operation_id: str) -> asyncio.Future[None]:
        return self._change(operation_id, lambda found: transitions.expire_deadline(found, now=self._clock()))

    def _change(self, operation_id: str, transition: Callable[[Operation], Change | None]) -> asyncio.Future[None]:
        return asyncio.ensure_future(self._change_unless_gone(operation_id, transition))

    async def _change_unless_gone(
        self,
        operation_id: str,
        transition: Callable[[Operation], Change | None],
    ) -> None:
        try:
            await self._store.change(operation_id, transition)
        except (LeaseLost, KeyError):
            logger.debug("%s has moved on by itself", operation_id)
