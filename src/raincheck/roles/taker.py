"""Takes the operations that an engine brings: the desk at which messages are handed in."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from raincheck.core.errors import StorageFull, StoreUnavailable
from raincheck.core.operation import Operation, Status
from raincheck.ports import Claim
from raincheck.ports_engines import Route
from raincheck.roles.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from raincheck.ports import OperationStore
    from raincheck.ports_functions import Kind

logger = logging.getLogger("raincheck.taker")
_LARGEST_CLAIM = 200
_PAUSE = 0.5
_TRIES = 20
_AGAIN = 0.05
_EARLY = timedelta(seconds=2)


@dataclass(slots=True, eq=False)
class Handed:
    """A message that was handed in.

    :param spent: resolved with the operation's run when it has begun here, with None when there is nothing to do.
    """

    id: str
    executor: str
    spent: asyncio.Future[asyncio.Task[None] | None]
    tries: int = field(default=0)


class Taker:
    """Implements Desk. Messages that are handed in during one turn of the loop are claimed in one transaction.

    :param queues: the queues that this process works on; None for all.
    :param room: how many runs of an executor may begin now, those expected here already taken off.
    :param begin: starts the run of a claimed operation and returns its task.
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
        begin: Callable[[Operation], asyncio.Task[None]],
    ) -> None:
        self._store = store
        self._worker = worker
        self._kinds = tuple(kinds)
        self._queues = queues
        self._room = room
        self._lease = lease
        self._clock = clock
        self._begin = begin
        self.routes: Sequence[Route] = tuple(
            Route(queue=kind.queue, kind=kind.name, executor=kind.executor)
            for kind in kinds.values()
            if queues is None or kind.queue in queues
        )
        self._expected: Counter[str] = Counter()
        self._handed: list[Handed] = []
        self._claims: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()
        self._closed = False
        self._trouble = Trouble(logger, "what the engine has brought could not be claimed")

    # --- Desk -----------------------------------------------------------------------------------------------------

    async def room(self, executor: str) -> int:
        """Wait for a free slot, and return how many there are; 0 once the desk has closed."""
        while not self._closed:
            free = self._room(executor)
            if free > 0:
                return free
            self._freed.clear()
            await self._freed.wait()
        return 0

    def expect(self, executor: str, count: int) -> None:
        """Keep slots free for messages that are on their way to ``take``."""
        self._expected[executor] += count

    async def take(self, operation_id: str, *, executor: str, to_the_end: bool = False) -> None:
        """Begin the operation if it waits, for one of the slots that ``expect`` has kept."""
        if not await self._slot_is_left(executor):
            return  # the engine is told of the operation again
        handed = Handed(operation_id, executor, asyncio.get_running_loop().create_future())
        if not self._handed:
            asyncio.get_running_loop().call_soon(self._claim_handed)
        self._handed.append(handed)
        run = await asyncio.shield(handed.spent)
        if run is not None and to_the_end:
            await asyncio.wait([run])

    async def _slot_is_left(self, executor: str) -> bool:
        """Wait while others have all slots, with no lease, so that another process may begin the operation.

        An engine that had room may wait long for a message; meanwhile a submit of this process can have the last slot.
        """
        if self._room(executor) >= 0:
            return True
        self._expected[executor] -= 1
        left = await self.room(executor) > 0
        self._expected[executor] += left
        return left

    # --- what the other parts tell ----------------------------------------------------------------------------------

    def expected(self, executor: str) -> int:
        """Return how many slots are kept for messages on their way."""
        return self._expected[executor]

    def slot_freed(self) -> None:
        """Wake those who wait for room."""
        self._freed.set()

    def close(self) -> None:
        """Have no more room; what is handed in now is still tried, once."""
        self._closed = True
        self._freed.set()

    async def settle(self) -> None:
        """Wait until all that was handed in is spent: what a claim in flight has leased is begun here."""
        self._claim_handed()
        await asyncio.gather(*self._claims, return_exceptions=True)

    # --- claiming ---------------------------------------------------------------------------------------------------

    def _claim_handed(self) -> None:
        handed, self._handed = self._handed, []
        for start in range(0, len(handed), _LARGEST_CLAIM):
            self._claim_later(handed[start : start + _LARGEST_CLAIM])

    def _claim_later(self, handed: list[Handed]) -> None:
        task = asyncio.get_running_loop().create_task(self._claim(handed), name="raincheck-take")
        self._claims.add(task)
        task.add_done_callback(self._claims.discard)

    async def _claim(self, handed: list[Handed]) -> None:
        try:
            await self._claim_all(handed)
        except Exception:
            logger.exception("messages were dropped; the engine is told of their operations again")
        finally:
            for each in handed:  # whatever happened, nobody waits for ever, and no slot stays taken
                if not each.spent.done():
                    self._spend(each, None)

    async def _claim_all(self, handed: list[Handed]) -> None:
        """Claim what the messages name, as often as one of them may still become claimable in a moment."""
        while handed:
            claimed = {operation.id: operation for operation in await self._claimed([each.id for each in handed])}
            rest = []
            for each in handed:
                operation = claimed.pop(each.id, None)
                if operation is None:
                    rest.append(each)
                else:
                    self._spend(each, self._begin(operation))
            handed = await self._worth_another_try(rest)

    async def _claimed(self, ids: Sequence[str]) -> list[Operation]:
        """Claim once the store is there: a message in hand is not given back for a store that is away."""
        while True:
            now = self._clock()
            claim = Claim(
                worker=self._worker,
                kinds=self._kinds,
                queues=self._queues,
                limit=len(ids),
                lease_until=now + self._lease,
                now=now,
                ids=tuple(ids),
            )
            try:
                claimed = await self._store.claim(claim)
            except (StoreUnavailable, StorageFull) as error:
                self._trouble.met(error)
            except Exception:
                logger.exception("what the engine has brought could not be claimed; trying again")
            else:
                self._trouble.over()
                return claimed
            if self._closed:
                return []
            await asyncio.sleep(_PAUSE)

    async def _worth_another_try(self, handed: list[Handed]) -> list[Handed]:
        """Drop messages for which there is nothing to do; wait a moment for those that may be claimed soon."""
        again, pause = [], 0.0
        for each in handed:
            wait = None if self._closed or each.tries == _TRIES else await self._soon(each.id)
            if wait is None:
                self._spend(each, None)
            else:
                each.tries += 1
                again.append(each)
                pause = max(pause, wait)
        if again:
            await asyncio.sleep(pause)
        return again

    async def _soon(self, operation_id: str) -> float | None:
        """Return in how many seconds a queued operation may be claimed; None where that is not so.

        A message may come a little early where the engine keeps time by another clock, and a claim passes over a row
        that somebody writes at that moment.
        """
        try:
            found = await self._store.get(operation_id)
        except (StoreUnavailable, StorageFull):
            return _PAUSE
        if not isinstance(found, Operation) or found.status is not Status.QUEUED or found.kind not in self._kinds:
            return None
        if self._queues is not None and found.queue not in self._queues:
            return None
        early = found.run_at - self._clock()
        return None if early > _EARLY else max(_AGAIN, early.total_seconds())

    def _spend(self, handed: Handed, run: asyncio.Task[None] | None) -> None:
        self._expected[handed.executor] -= 1
        self._freed.set()
        if not handed.spent.done():
            handed.spent.set_result(run)
