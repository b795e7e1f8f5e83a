"""The SQLite store: operations and events in one file, changed in one transaction."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from raincheck.core import transitions
from raincheck.core.errors import StorageFull, StoreError, StoreUnavailable
from raincheck.core.moments import milliseconds
from raincheck.core.operation import Status
from raincheck.own_threads import in_own_thread
from raincheck.ports import Lease, Overdue, Renewal, Submitted, Tombstone
from raincheck.stores.sqlite import reading, retention, tickets
from raincheck.stores.sqlite.delivery_store import SqliteDeliveries
from raincheck.stores.sqlite.ledger import claim_parameters
from raincheck.stores.sqlite.opening import connect, migrate, prepare_file, refusing_unusable
from raincheck.stores.sqlite.outbox import SqliteOutbox
from raincheck.stores.sqlite.page import json_rows
from raincheck.stores.sqlite.queries import statement
from raincheck.stores.sqlite.reader import Readers
from raincheck.stores.sqlite.reserve import Reserve
from raincheck.stores.sqlite.rows import QUEUED_COLUMNS, operation_from
from raincheck.stores.sqlite.units import Alter, Submit, Unit, Work
from raincheck.stores.sqlite.writer import Writer

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from raincheck.core.events import Event
    from raincheck.core.operation import Operation
    from raincheck.core.transitions import Change
    from raincheck.ports import Claim, ListQuery, Ticket
    from raincheck.stores.sqlite.page import Page

T = TypeVar("T")
logger = logging.getLogger("raincheck.store")

_CLAIMABLE = statement("claimable").replace("{columns}", QUEUED_COLUMNS)
_NAMED = statement("named").replace("{columns}", QUEUED_COLUMNS)
_RENEW = statement("renew_leases")
_RENEWED = statement("renewed")


class SqliteStore(SqliteDeliveries, SqliteOutbox):
    """Implements the store ports, Outbox and Signals on one file that several processes may share.

    :param path: the database file; created with mode 0600.
    """

    def __init__(self, path: Path, *, timed: Callable[[float, int], None] | None = None) -> None:
        super().__init__()
        self._timed = timed
        self.path = path
        self._listeners: list[Callable[[Sequence[Change]], None]] = []
        self._notices: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: sqlite3.Connection | None = None
        self._writer: Writer | None = None
        self._readers: Readers | None = None
        self._reserve = Reserve(side_folder(path) / "reserve")

    async def open(self) -> None:
        """Create or migrate the file and start the writer and the readers.

        :raises StoreError: the file cannot be used; the message says why and what to do.
        """
        self._loop = asyncio.get_running_loop()
        self._connection = await in_own_thread(self._prepare)
        self._readers = Readers(self.path)
        self._writer = Writer(
            connection=self._connection,
            endpoints=lambda: self._endpoints,
            terms=lambda: self._terms,
            committed=self._publish,
            foreign=self._notice_foreign,
            timed=self._timed,
        )
        self._writer.start()

    def _prepare(self) -> sqlite3.Connection:
        prepare_file(self.path)
        with refusing_unusable(self.path):
            connection = connect(self.path)
        try:
            migrate(connection, self.path)
            self._reserve.take()
        except OSError as error:
            connection.close()
            msg = (
                f"{side_folder(self.path)} cannot be written: {error.strerror}. Raincheck keeps files, locks and a "
                "reserve there. Give this user write access, or set RAINCHECK_STORE to another place."
            )
            raise StoreError(msg) from error
        except BaseException:
            connection.close()
            raise
        return connection

    async def close(self) -> None:
        """Write what waits and close the file; closing what was not opened does nothing."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        await writer.stop()
        await in_own_thread(self._readers.close)  # type: ignore[union-attr]
        self._connection.close()  # type: ignore[union-attr]

    def subscribe(self, listener: Callable[[Sequence[Change]], None]) -> None:
        """Call the listener with the changes of each commit."""
        self._listeners.append(listener)

    def _publish(self, changes: Sequence[Change]) -> None:
        for listener in self._listeners:
            try:
                listener(changes)
            except Exception:
                # The commit stands: a listener that fails must not make it look undone.
                logger.exception("a listener of the store failed; its reader falls back to reading the store")

    # --- Signals ----------------------------------------------------------------------------------------------

    async def start(self, notice: Callable[[], None]) -> None:
        """Call the notice when another process has committed (``PRAGMA data_version``, polled every 10 ms)."""
        self._notices.append(notice)

    async def stop(self) -> None:
        """Call no notice any more."""
        self._notices.clear()

    def _notice_foreign(self) -> None:
        for notice in self._notices:
            notice()

    # --- writing ----------------------------------------------------------------------------------------------

    async def submit(self, operation: Operation, *, claim: Claim | None = None) -> Submitted:
        """Make a new operation durable, leased if it may start at once; or find the one its key belongs to."""
        if not self._reserve.held:
            await self._take_reserve()
        try:
            found: Submitted = await self._opened().write(Submit(operation=operation, claim=claim))
        except StorageFull:
            await in_own_thread(self._reserve.give_up)
            raise
        return found

    async def _take_reserve(self) -> None:
        try:
            held = await in_own_thread(self._reserve.take)
        except OSError as error:
            msg = "The operation store cannot be written at the moment; nothing was accepted. Try again."
            raise StoreUnavailable(msg, retry_after=1) from error
        if not held:
            msg = "The disk that holds the operation store is full; nothing was accepted. Try again later."
            raise StorageFull(msg, retry_after=5)

    async def claim(self, claim: Claim) -> list[Operation]:
        """Lease queued operations to a worker."""
        claimed: list[Operation] = await self._write(Work(apply=lambda page: _claim(page, claim)))
        return claimed

    async def renew(self, leases: Sequence[Lease], *, lease_until: datetime) -> Renewal:
        """Extend leases; from another thread's loop it does not wait for the owning loop."""
        unit = Work(apply=lambda page: (_renew(page, leases, lease_until), ()))
        if asyncio.get_running_loop() is self._loop:
            renewal: Renewal = await self._write(unit)
            return renewal
        return await asyncio.wrap_future(self._opened().write_urgently(unit))

    async def change(self, operation_id: str, transition: Callable[[Operation], Change | None]) -> Operation:
        """Apply a transition to the record as it is now."""
        changed: Operation = await self._write(Alter(operation_id=operation_id, transition=transition))
        return changed

    async def delete(self, operation_id: str, *, check: Callable[[Operation], None], now: datetime) -> None:
        """Replace a record by a tombstone."""
        await self._write(Work(apply=lambda page: retention.delete(page, operation_id, check, now)))

    async def prune(self, now: datetime, *, limit: int = 500) -> list[str]:
        """Replace expired operations by tombstones and forget old tombstones."""
        gone: list[str] = await self._write(Work(apply=lambda page: retention.prune(page, now, limit)))
        return gone

    async def issue(self, ticket: Ticket, *, now: datetime) -> None:
        """Keep a ticket."""
        await self._write(Work(apply=lambda page: tickets.issue(page.connection, ticket, now)))

    async def use(self, digest: str, *, resuming: bool, now: datetime, until: datetime) -> tuple[str, str] | None:
        """Use a ticket; return its operation and owner."""
        found: tuple[str, str] | None = await self._write(
            Work(apply=lambda page: tickets.use(page.connection, digest, resuming=resuming, now=now, until=until)),
        )
        return found

    async def end_use(self, digest: str, *, given: datetime, until: datetime) -> None:
        """Set the end of a ticket that nobody has used since."""
        await self._write(Work(apply=lambda page: tickets.end_use(page.connection, digest, given=given, until=until)))

    async def _write(self, unit: Unit) -> Any:
        try:
            return await self._opened().write(unit)
        except StorageFull:
            await in_own_thread(self._reserve.give_up)
            raise

    def _opened(self) -> Writer:
        if self._writer is None:
            msg = "The store is closed; the process is shutting down. Send the request again."
            raise StoreUnavailable(msg, retry_after=1)
        return self._writer

    # --- reading ----------------------------------------------------------------------------------------------

    async def get(self, operation_id: str) -> Operation | Tombstone | None:
        """Return the record, or what is left of it."""
        return await self._read(lambda connection: reading.get(connection, operation_id))

    async def cancelling(self, worker: str) -> list[Lease]:
        """Return the runs of a worker that were asked to cancel."""
        return await self._read(lambda connection: reading.cancelling(connection, worker))

    async def overdue(self, now: datetime, *, limit: int = 500) -> Overdue:
        """Return expired leases, passed deadlines, and who holds what."""
        return await self._read(lambda connection: reading.overdue(connection, now, limit))

    async def list_page(self, query: ListQuery) -> list[Operation]:
        """Return a page, newest first."""
        return await self._read(lambda connection: reading.list_page(connection, query))

    async def known(self, operation_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that have a record."""
        return await self._read(lambda connection: reading.known(connection, operation_ids))

    async def queue_position(self, operation: Operation) -> int | None:
        """Return how many queued operations go first."""
        return await self._read(lambda connection: reading.queue_position(connection, operation))

    async def queue_depth(self, *, limit: int) -> int:
        """Count queued operations up to the limit."""
        return await self._read(lambda connection: reading.queue_depth(connection, limit))

    async def versions(self, operation_ids: Sequence[str]) -> dict[str, int]:
        """Return the versions of those of the operations that exist."""
        return await self._read(lambda connection: reading.versions(connection, operation_ids))

    async def changed_since(self, owner: str, moment: datetime, *, limit: int = 1000) -> list[Operation]:
        """Return what of an owner has changed since a moment, oldest change first."""
        return await self._read(lambda connection: reading.changed_since(connection, owner, moment, limit))

    async def events_after(
        self,
        cursors: Mapping[str, int],
        *,
        limit: int = 1000,
    ) -> dict[str, tuple[Operation, list[Event]]]:
        """Return records and their events above the cursors, read at one moment."""
        return await self._read(lambda connection: reading.events_after(connection, cursors, limit))

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        return await self._readers.read(query)  # type: ignore[union-attr]


def side_folder(path: Path) -> Path:
    """Return the folder beside the database for files, locks and the reserve."""
    return path.with_name(path.name + ".d")


def _claim(page: Page, claim: Claim) -> tuple[list[Operation], Sequence[Change]]:
    changes = []
    query = _CLAIMABLE if claim.ids is None else _NAMED
    for row in json_rows(page.connection, query, claim_parameters(claim)):
        operation = operation_from(row)
        change = transitions.claim(operation, worker=claim.worker, lease_until=claim.lease_until, now=claim.now)
        if change is not None:
            changes.append(page.put(change))
    return [change.operation for change in changes], changes


def _renew(page: Page, leases: Sequence[Lease], lease_until: datetime) -> Renewal:
    pairs = json.dumps([(lease.id, lease.run) for lease in leases])
    page.connection.execute(_RENEW, {"until": milliseconds(lease_until), "leases": pairs})
    page.forget([lease.id for lease in leases])
    held, cancelling = set(), set()
    for operation_id, run, status in json_rows(page.connection, _RENEWED, (pairs,)):
        lease = Lease(operation_id, run)
        held.add(lease)
        if status == Status.CANCELLING.value:
            cancelling.add(lease)
    return Renewal(frozenset(leases) - held, frozenset(cancelling))
