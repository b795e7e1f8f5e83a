"""The PostgreSQL store: operations and events in one schema, changed in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from raincheck.core.errors import StoreUnavailable
from raincheck.core.moments import milliseconds
from raincheck.ports import Lease, Renewal
from raincheck.stores.postgres import reading, retention, tickets
from raincheck.stores.postgres.clock import DatabaseClock
from raincheck.stores.postgres.connecting import connect_patiently
from raincheck.stores.postgres.delivery_store import PostgresDeliveries
from raincheck.stores.postgres.opening import migrate
from raincheck.stores.postgres.outbox import PostgresOutbox
from raincheck.stores.postgres.pool import Pool
from raincheck.stores.postgres.queries import statement
from raincheck.stores.postgres.renewer import Renewer
from raincheck.stores.postgres.units import Alter, KeyFreed, Submit, Take, Transaction
from raincheck.stores.postgres.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from raincheck.core.events import Event
    from raincheck.core.operation import Operation
    from raincheck.core.transitions import Change
    from raincheck.locations import PostgresDatabase
    from raincheck.ports import Claim, ListQuery, Overdue, Submitted, Ticket, Tombstone

T = TypeVar("T")
logger = logging.getLogger("raincheck.store")
_LOOK_AT_CLOCK = 5.0


class PostgresStore(PostgresDeliveries, PostgresOutbox):
    """Implements all the store ports in one schema that any number of machines may share.

    :param database: where it is; the schema is made at the first start.
    """

    def __init__(self, database: PostgresDatabase, *, timed: Callable[[float, int], None] | None = None) -> None:
        PostgresDeliveries.__init__(self, pool=Pool(database), schema=database.schema)
        PostgresOutbox.__init__(self, schema=database.schema)
        self.database = database
        self._timed = timed
        self.clock = DatabaseClock()
        self._queries = reading.Queries(database.schema)
        self._transaction = Transaction(schema=database.schema, endpoints=lambda: self._endpoints, outbox=self)
        self._renew = statement("renew_leases", schema=database.schema)
        self._renewer = Renewer(database)
        self._listeners: list[Callable[[Sequence[Change]], None]] = []
        self._writer: Writer | None = None
        self._clock_task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Make or migrate the schema, connect, and look at the database's clock.

        :raises StoreError: the database cannot be used; the message says why and what to do.
        """
        connection = await connect_patiently(self.database)
        try:
            await migrate(connection, self.database)
            await self.clock.look(connection)
        finally:
            await connection.close()
        await self.pool.open()
        writer = Writer(
            database=self.database, transaction=self._transaction, committed=self._publish, timed=self._timed
        )
        await writer.start()
        self._writer = writer
        self._clock_task = asyncio.create_task(self._keep_time(), name="raincheck-clock")

    async def close(self) -> None:
        """Write what waits and disconnect; closing what was not opened does nothing."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        if self._clock_task is not None:
            self._clock_task.cancel()
            await asyncio.gather(self._clock_task, return_exceptions=True)
        await writer.stop()
        await self._renewer.stop()
        await self.pool.close()

    def subscribe(self, listener: Callable[[Sequence[Change]], None]) -> None:
        """Call the listener with the changes of each commit."""
        self._listeners.append(listener)

    def _publish(self, changes: Sequence[Change]) -> None:
        self.wrote()
        for listener in self._listeners:
            try:
                listener(changes)
            except Exception:
                # The commit stands: a listener that fails must not make it look undone.
                logger.exception("a listener of the store failed; its reader falls back to reading the store")

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_AT_CLOCK)
            with contextlib.suppress(Exception):  # away: this machine's clock carries on, and others report it
                await self.pool.read(self.clock.look)

    async def notify(self) -> None:
        """Tell the running processes that something was written, where none of this process's signals does."""
        channel = self.database.schema
        await self.pool.write(lambda connection: connection.execute("SELECT pg_notify($1, '')", channel))

    # --- writing ----------------------------------------------------------------------------------------------

    async def submit(self, operation: Operation, *, claim: Claim | None = None) -> Submitted:
        """Make a new operation durable, leased if it may start at once, or find the one that its key belongs to."""
        while True:
            with contextlib.suppress(KeyFreed):
                submitted: Submitted = await self._write(Submit, operation=operation, claim=claim)
                return submitted

    async def claim(self, claim: Claim) -> list[Operation]:
        """Lease queued operations to a worker."""
        claimed: list[Operation] = await self._write(Take, claim=claim)
        return claimed

    async def change(self, operation_id: str, transition: Callable[[Operation], Change | None]) -> Operation:
        """Apply a transition to the record as it is now."""
        changed: Operation = await self._write(Alter, operation_id=operation_id, transition=transition)
        return changed

    async def _write(self, kind: type[Any], **fields: Any) -> Any:
        loop = asyncio.get_running_loop()
        unit = kind(future=loop.create_future(), waiting_since=loop.time(), **fields)
        return await self._opened().write(unit)

    def _opened(self) -> Writer:
        if self._writer is None:
            msg = "The store is closed; the process is shutting down. Send the request again."
            raise StoreUnavailable(msg, retry_after=1)
        return self._writer

    async def renew(self, leases: Sequence[Lease], *, lease_until: datetime) -> Renewal:
        """Extend leases on a connection and a thread of its own, so that nothing here holds it up."""
        if not leases:
            return Renewal(frozenset(), frozenset())
        ids = [lease.id for lease in leases]
        runs = [lease.run for lease in leases]
        rows = await self._renewer.fetch(self._renew, ids, runs, milliseconds(lease_until))
        kept = {Lease(row[0], row[1]) for row in rows}
        return Renewal(frozenset(leases) - kept, frozenset(Lease(row[0], row[1]) for row in rows if row[2]))

    async def delete(self, operation_id: str, *, check: Callable[[Operation], None], now: datetime) -> None:
        """Replace a record by a tombstone."""
        await self.pool.write(
            lambda connection: retention.delete(connection, self.database.schema, operation_id, check, now)
        )

    async def prune(self, now: datetime, *, limit: int = 500) -> list[str]:
        """Replace expired operations by tombstones and forget old tombstones."""

        async def prune(connection: Any) -> list[str]:
            gone = await retention.prune(connection, self.database.schema, now, limit)
            await self.delivery_queries.forget_endpoints(connection, now)
            return gone

        return await self.pool.write(prune)

    # --- tickets ----------------------------------------------------------------------------------------------

    async def issue(self, ticket: Ticket, *, now: datetime) -> None:
        """Keep a ticket."""
        await self.pool.write(lambda connection: tickets.issue(connection, self.database.schema, ticket, now))

    async def use(self, digest: str, *, resuming: bool, now: datetime, until: datetime) -> tuple[str, str] | None:
        """Use a ticket; return its operation and owner."""
        schema = self.database.schema
        return await self.pool.write(
            lambda connection: tickets.use(connection, schema, digest, resuming=resuming, now=now, until=until)
        )

    async def end_use(self, digest: str, *, given: datetime, until: datetime) -> None:
        """Set the end of a ticket that nobody has used since."""
        schema = self.database.schema
        await self.pool.write(lambda connection: tickets.end_use(connection, schema, digest, given=given, until=until))

    # --- reading ----------------------------------------------------------------------------------------------

    async def get(self, operation_id: str) -> Operation | Tombstone | None:
        """Return the record, or what is left of it."""
        return await self._read(lambda connection: self._queries.get(connection, operation_id))

    async def cancelling(self, worker: str) -> list[Lease]:
        """Return the runs of a worker that were asked to cancel."""
        return await self._read(lambda connection: self._queries.cancelling(connection, worker))

    async def overdue(self, now: datetime, *, limit: int = 500) -> Overdue:
        """Return expired leases, passed deadlines, and who holds what."""
        return await self._read(lambda connection: self._queries.overdue(connection, now, limit))

    async def list_page(self, query: ListQuery) -> list[Operation]:
        """Return a page, newest first."""
        return await self._read(lambda connection: self._queries.list_page(connection, query))

    async def known(self, operation_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that have a record."""
        return await self._read(lambda connection: self._queries.known(connection, operation_ids))

    async def queue_position(self, operation: Operation) -> int | None:
        """Return how many queued operations go first."""
        return await self._read(lambda connection: self._queries.queue_position(connection, operation))

    async def queue_depth(self, *, limit: int) -> int:
        """Count queued operations up to the limit."""
        return await self._read(lambda connection: self._queries.queue_depth(connection, limit))

    async def versions(self, operation_ids: Sequence[str]) -> dict[str, int]:
        """Return the versions of those of the operations that exist."""
        return await self._read(lambda connection: self._queries.versions(connection, operation_ids))

    async def changed_since(self, owner: str, moment: datetime, *, limit: int = 1000) -> list[Operation]:
        """Return what of an owner has changed since a moment, oldest change first."""
        return await self._read(lambda connection: self._queries.changed_since(connection, owner, moment, limit))

    async def events_after(
        self,
        cursors: Mapping[str, int],
        *,
        limit: int = 1000,
    ) -> dict[str, tuple[Operation, list[Event]]]:
        """Return records and their events above the cursors, read at one moment."""
        if not cursors:
            return {}
        return await self.pool.read_at_one_moment(
            lambda connection: self._queries.events_after(connection, cursors, limit)
        )

    async def _read(self, query: Callable[[Any], Awaitable[T]]) -> T:
        return await self.pool.read(query)
