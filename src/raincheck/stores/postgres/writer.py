"""The one writer of this process: submits, changes and claims grouped into one durable transaction.

What arrives while a commit is under way shares the next one. A commit whose answer is lost is never guessed: inserts
run again (their ids make that harmless), of other transactions the server is asked by their number, and for their rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raincheck.core.errors import StoreUnavailable
from raincheck.stores.postgres.connecting import begin, connect, is_lost, pauses, translated, unavailable
from raincheck.stores.postgres.units import Alter, Submit, Take, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raincheck.core.transitions import Change
    from raincheck.locations import PostgresDatabase
    from raincheck.stores.postgres.units import Transaction

logger = logging.getLogger("raincheck.store")
_LARGEST_BATCH = 1000
PATIENCE = 5.0
"""How long a unit waits for a database that is away, in seconds."""
DOUBT = 30.0
"""How long one waits whose commit may have happened, before its caller is told that nobody knows."""


@dataclass(slots=True, eq=False)
class Batch:
    """Units that share a transaction.

    :param sent: the commit was sent, so it may have happened.
    :param number: what the server calls the transaction; None where all that it writes are new operations.
    """

    units: list[Unit]
    sent: bool = False
    number: str | None = None

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the units of one kind, in order."""
        return [unit for unit in self.units if type(unit) is kind]


class Writer:
    """Owns the connection that writes. All methods belong to the loop that started it."""

    def __init__(
        self,
        *,
        database: PostgresDatabase,
        transaction: Transaction,
        committed: Callable[[Sequence[Change]], None],
        timed: Callable[[float, int], None] | None = None,
    ) -> None:
        self._database = database
        self._transaction = transaction
        self._committed = committed
        self._timed = timed
        self._waiting: deque[Unit] = deque()
        self._doubtful: list[Submit] = []
        self._wake = asyncio.Event()
        self._connection: Any = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        """Connect, and begin to write."""
        self._connection = await connect(self._database)
        self._task = asyncio.create_task(self._work(), name="raincheck-writer")

    async def stop(self) -> None:
        """Write what waits, then end."""
        self._closed = True
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._disconnect()

    async def write(self, unit: Unit) -> Any:
        """Wait until the unit is durable. Cancelling the wait withdraws a unit whose transaction has not begun.

        :raises StoreUnavailable: the store is closed, or the database is away for longer than the patience.
        """
        if self._closed:
            msg = "The store is closed; the process is shutting down. Send the request again."
            raise StoreUnavailable(msg, retry_after=1)
        self._waiting.append(unit)
        self._wake.set()
        return await unit.future

    # --- one batch after the other ------------------------------------------------------------------------------

    async def _work(self) -> None:
        while not (self._closed and not self._waiting):
            await self._wake.wait()
            self._wake.clear()
            while batch := self._cut():
                writes = len(batch.units)
                began = time.perf_counter()
                await self._finish(batch)
                if self._timed is not None:
                    self._timed(time.perf_counter() - began, writes)

    def _cut(self) -> Batch | None:
        units: list[Unit] = []
        while self._waiting and len(units) < _LARGEST_BATCH:
            unit = self._waiting.popleft()
            if not unit.future.done():  # else withdrawn by its caller
                units.append(unit)
        return Batch(units) if units else None

    async def _finish(self, batch: Batch) -> None:
        """Bring a batch to its end: committed, refused, or given up because the database is away."""
        async for attempt in pauses():
            try:
                await self._attempt(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, the callers must get an answer
                await self._disconnect()
                if is_lost(error):
                    self._give_up_waiting(batch, first=attempt == 0)
                    if batch.units:
                        continue
                    return
                if len(batch.units) > 1:
                    for unit in batch.units:  # one that cannot be written must not harm the others
                        await self._finish(Batch([unit]))
                    return
                batch.units[0].error = translated(error)
            self._deliver(batch)
            return

    async def _attempt(self, batch: Batch) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._database)
        if self._doubtful:
            await self._withdraw()
        if batch.sent and batch.number is not None and await self._was_committed(batch, batch.number):
            return
        for unit in batch.units:
            unit.forget()
        batch.sent, batch.number = batch.sent and batch.number is None, None
        submits = batch.of(Submit)
        if self._database.pooled:
            await begin(self._connection, self._database)
        inserts_only = await self._transaction.lease(self._connection, submits)
        if inserts_only and len(submits) == len(batch.units) and not self._database.pooled:
            batch.sent = True  # the statement is its own transaction
            await self._transaction.insert(self._connection, submits)
            return
        if not self._database.pooled:
            await begin(self._connection, self._database)
        inserted = await self._transaction.insert(self._connection, submits)
        altered = await self._transaction.alter(self._connection, batch.of(Alter))
        taken = await self._transaction.take(self._connection, batch.of(Take))
        await self._transaction.enlist(self._connection, batch.units)
        batch.sent, batch.number = True, inserted or altered or taken
        await self._connection.execute("COMMIT")

    async def _was_committed(self, batch: Batch, number: str) -> bool:
        """Tell what became of a transaction whose commit was not answered.

        A server that crashed gives the number of a transaction that never reached its disk to another one. So a number
        that has committed must have left behind what this batch writes.

        :raises TimeoutError: it is still under way, on a connection that the server has not missed yet.
        """
        from asyncpg import InvalidParameterValueError  # noqa: PLC0415 - of an extra

        try:
            status = await self._connection.fetchval("SELECT pg_xact_status($1::text::xid8)", number)
        except InvalidParameterValueError:  # a number of the future: nothing of it survived a crash
            return False
        if status == "in progress":
            raise TimeoutError
        return status == "committed" and await self._transaction.left_behind(self._connection, batch.units)

    async def _withdraw(self) -> None:
        doubtful = self._doubtful
        await begin(self._connection, self._database)
        await self._transaction.withdraw(self._connection, doubtful)
        await self._connection.execute("COMMIT")
        self._doubtful = []
        logger.warning("%d submits whose commit was in doubt were withdrawn, unless they had begun", len(doubtful))

    # --- giving up ----------------------------------------------------------------------------------------------

    def _give_up_waiting(self, batch: Batch, *, first: bool) -> None:
        """Answer those who have waited for as long as they may; keep the rest."""
        if first:
            logger.warning("the operation store is away; trying again")
        now = asyncio.get_running_loop().time()
        patience = DOUBT if batch.sent and not self._closed else PATIENCE
        impatient = [unit for unit in batch.units if now - unit.waiting_since >= patience]
        for unit in impatient:
            if batch.sent and isinstance(unit, Submit):
                self._doubtful.append(unit)
            _resolve(unit, in_doubt() if batch.sent else unavailable())
        batch.units = [unit for unit in batch.units if unit not in impatient]
        while self._waiting and now - self._waiting[0].waiting_since >= PATIENCE:
            _resolve(self._waiting.popleft(), unavailable())

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it is of no use any more, whatever it says
                connection.terminate()

    def _deliver(self, batch: Batch) -> None:
        changes: list[Change] = []
        for unit in batch.units:
            if unit.error is None:
                changes.extend(unit.changes)
            _resolve(unit, unit.error)
        if changes:
            self._committed(changes)


def in_doubt() -> StoreUnavailable:
    """Return the error for a commit of which nobody knows whether it happened."""
    msg = (
        "The operation store went away while it wrote, and whether it has is not known. Look before you send the "
        "request again, or send it with the same Idempotency-Key."
    )
    return StoreUnavailable(msg, retry_after=5)


def _resolve(unit: Unit, error: BaseException | None) -> None:
    if unit.future.done():
        return
    if error is None:
        unit.future.set_result(unit.result)
    else:
        unit.future.set_exception(error)
