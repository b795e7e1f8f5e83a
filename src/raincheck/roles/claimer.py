"""Leases work as far as there is room: what is queued, and at once what this process accepts while nothing waits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from typing import TYPE_CHECKING

from raincheck.core.errors import StorageFull, StoreUnavailable
from raincheck.core.operation import Operation, Status
from raincheck.ports import Claim
from raincheck.roles.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    from raincheck.core.transitions import Change
    from raincheck.ports import OperationStore
    from raincheck.ports_functions import Kind

logger = logging.getLogger("raincheck.claimer")
_POLL = 1.0
_LARGEST_CLAIM = 200


class Claimer:
    """Claims for each executor as many operations as it has free slots.

    A submit may take a claim along (``offer``): then accepting and starting are one transaction.
    It looks when this process queued something, when a slot came free while more was waiting, when another
    process wrote something, when a retry falls due, and once a second behind all that.

    :param room: how many runs of an executor may be claimed now.
    :param begin: starts the run of a claimed operation.
    :param freed: told when a promised slot was not used after all; by default it looks itself.
    :param looks: whether it looks for queued work; where an engine brings that, it only offers.
    """

    def __init__(
        self,
        *,
        store: OperationStore,
        worker: str,
        kinds: Mapping[str, Kind],
        queues: tuple[str, ...] | None,
        room: Callable[[str], int],
        lease: timedelta,
        clock: Callable[[], datetime],
        begin: Callable[[Operation], object],
        freed: Callable[[], None] | None = None,
        looks: bool = True,
    ) -> None:
        self._store = store
        self._worker = worker
        self._queues = queues
        self._room = room
        self._lease = lease
        self._clock = clock
        self._begin = begin
        self._freed = freed or self.slot_freed
        self._looks = looks
        self._kinds_of: dict[str, tuple[str, ...]] = {}
        self._executor_of = {kind.name: kind.executor for kind in kinds.values()}
        for name, executor in self._executor_of.items():
            self._kinds_of[executor] = (*self._kinds_of.get(executor, ()), name)
        self._promised: Counter[str] = Counter()
        self._nothing_promised = asyncio.Event()
        self._nothing_promised.set()
        self._look = asyncio.Event()
        self._certain = False
        self._more: dict[str, bool] = dict.fromkeys(self._kinds_of, False)
        self._trouble = Trouble(logger, "nothing could be claimed")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to claim, looking at once."""
        self._certain = True
        self._look.set()
        self._task = asyncio.create_task(self._work(), name="raincheck-claimer")

    async def stop(self) -> None:
        """Claim nothing more; a claim in flight is still begun, also one that a submit took along."""
        if self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._nothing_promised.wait()

    # --- with a submit --------------------------------------------------------------------------------------------

    def offer(self, operation: Operation) -> Claim | None:
        """Promise a free slot to an operation that is about to be submitted, until ``settle``; None without one."""
        executor = self._executor_of.get(operation.kind)
        if executor is None or self._task is None or self._more[executor] or operation.scheduled_for is not None:
            return None
        if self._queues is not None and operation.queue not in self._queues:
            return None
        if self.free(executor) <= 0:
            return None
        self._promised[executor] += 1
        self._nothing_promised.clear()
        now = operation.created_at
        return Claim(
            worker=self._worker,
            kinds=self._kinds_of[executor],
            queues=self._queues,
            limit=1,
            lease_until=now + self._lease,
            now=now,
        )

    def settle(self, operation: Operation) -> None:
        """Take a promise back: the submit has ended, and if it was leased, ``committed`` has begun its run."""
        self._promised[self._executor_of[operation.kind]] -= 1
        if not any(self._promised.values()):
            self._nothing_promised.set()
        self._freed()  # who found no room because of the promise waits for nothing else

    def free(self, executor: str) -> int:
        """Return how many runs of an executor may begin that nothing is promised to."""
        return self._room(executor) - self._promised[executor]

    # --- looking for queued work ----------------------------------------------------------------------------------

    def committed(self, changes: Sequence[Change]) -> None:
        """Begin what was leased with its submit; look for what this process has queued.

        Here and not where the submit waits: that may have been cancelled, and the lease is ours all the same.
        """
        for change in changes:
            operation = change.operation
            if change.follows == 0 and operation.status is Status.RUNNING and operation.worker == self._worker:
                self._begin(operation)
            elif operation.status is Status.QUEUED:
                wait = (operation.run_at - self._clock()).total_seconds()
                if wait <= 0:
                    self._look_now()
                elif wait < 3600:  # noqa: PLR2004 - later ones are found by polling
                    asyncio.get_running_loop().call_later(wait, self._look_now)

    def slot_freed(self) -> None:
        """Look if more was waiting than there was room for."""
        if any(self._more.values()):
            self._look_now()

    def notice(self) -> None:
        """Another process has written something."""
        self._look.set()

    def _look_now(self) -> None:
        self._certain = True
        self._look.set()

    async def _work(self) -> None:
        if not self._looks:
            await asyncio.Event().wait()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await self._look.wait()
            self._look.clear()
            try:
                await self.run_once()
            except (StoreUnavailable, StorageFull) as error:
                self._trouble.met(error)
                await asyncio.sleep(_POLL)
            except Exception:
                logger.exception("nothing could be claimed; trying again")  # the last line of defence: never stop
                await asyncio.sleep(_POLL)
            else:
                self._trouble.over()

    async def run_once(self) -> None:
        """Claim for every executor that has room. A look on suspicion reads before it takes the write lock."""
        certain, self._certain = self._certain, False
        if not certain and await self._store.queue_depth(limit=1) == 0:
            return
        for name in self._kinds_of:
            await self._claim(name)

    async def _claim(self, name: str) -> None:
        limit = min(self.free(name), _LARGEST_CLAIM)
        if limit <= 0:
            self._more[name] = True
            return
        now = self._clock()
        claim = Claim(
            worker=self._worker,
            kinds=self._kinds_of[name],
            queues=self._queues,
            limit=limit,
            lease_until=now + self._lease,
            now=now,
        )
        claiming = asyncio.ensure_future(self._store.claim(claim))
        try:
            claimed = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await self._begin_late(claiming)
            raise
        self._more[name] = len(claimed) == limit
        for operation in claimed:
            self._begin(operation)
        if self._more[name] and self.free(name) > 0:
            self._look_now()

    async def _begin_late(self, claiming: asyncio.Future[list[Operation]]) -> None:
        """Begin what was in flight at the stop; an error of the store must not take the place of the cancellation."""
        try:
            claimed = await claiming
        except Exception as error:  # noqa: BLE001 - nothing was leased, and nobody claims any more
            self._trouble.met(error)
            return
        for operation in claimed:
            self._begin(operation)
