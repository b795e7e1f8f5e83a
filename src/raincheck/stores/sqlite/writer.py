"""The one writer of this process: units of work grouped into one fsynced transaction.

A batch is cut at the end of an event-loop turn and handed to the writer thread, with at most one commit in
flight: under load a commit carries everything that arrived during the former one, and the fsync is shared.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from concurrent.futures import Future as ThreadFuture
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from raincheck.core.errors import StorageFull, StoreUnavailable
from raincheck.own_threads import in_own_thread
from raincheck.stores.sqlite.ledger import Ledger
from raincheck.stores.sqlite.many_rows import LARGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raincheck.core.dispatch_rules import Terms
    from raincheck.core.endpoints import Endpoint
    from raincheck.core.transitions import Change
    from raincheck.stores.sqlite.units import Unit

logger = logging.getLogger("raincheck.store")
_TURN = attrgetter("turn")
_NAP = 0.0003
_PATIENCE = 5.0
_FOREIGN_POLL = 0.01
_FULL_CODES = frozenset({"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_FSYNC"})


class Writer:
    """Groups commits. ``write`` belongs to the owning loop; ``write_urgently`` to any thread."""

    def __init__(
        self,
        *,
        connection: sqlite3.Connection,
        endpoints: Callable[[], Sequence[Endpoint]],
        terms: Callable[[], Terms | None],
        committed: Callable[[Sequence[Change]], None],
        foreign: Callable[[], None],
        timed: Callable[[float, int], None] | None = None,
    ) -> None:
        self._connection = connection
        self._ledger = Ledger(connection, endpoints, terms)
        self._committed = committed
        self._foreign = foreign
        self._timed = timed
        self._waiting: deque[Unit] = deque()
        self._in_flight = False
        self._flush_scheduled = False
        self._inbox: queue.SimpleQueue[list[Unit] | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="raincheck-writer", daemon=True)
        self._idle: asyncio.Event | None = None
        self._closed = False

    def start(self) -> None:
        """Start the thread; the running loop owns this writer."""
        self._loop = asyncio.get_running_loop()
        self._idle = asyncio.Event()
        self._idle.set()
        self._thread.start()

    async def stop(self) -> None:
        """Write what waits, then end the thread."""
        self._closed = True
        while self._waiting or self._in_flight:
            self._idle.clear()  # type: ignore[union-attr]
            self._schedule()
            await self._idle.wait()  # type: ignore[union-attr]
        self._inbox.put(None)
        await in_own_thread(self._thread.join)

    def write(self, unit: Unit) -> asyncio.Future[Any]:
        """Return a future that ends when the unit is durable; cancelled, it withdraws what was not handed over yet."""
        if self._closed:
            msg = "The store is closed; the process is shutting down. Send the request again."
            raise StoreUnavailable(msg, retry_after=1)
        future: asyncio.Future[Any] = self._loop.create_future()  # type: ignore[union-attr]
        unit.future = future
        self._waiting.append(unit)
        self._schedule()
        return future

    def write_urgently(self, unit: Unit) -> ThreadFuture[Any]:
        """Hand over a unit of its own from any thread, past what waits on the loop."""
        future: ThreadFuture[Any] = ThreadFuture()
        unit.future = future
        self._inbox.put([unit])
        return future

    # --- on the loop ------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._in_flight and not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)  # type: ignore[union-attr]

    def _flush(self) -> None:
        self._flush_scheduled = False
        batch: list[Unit] = []
        while self._waiting and len(batch) < LARGEST:
            unit = self._waiting.popleft()
            if unit.future is not None and not unit.future.done():  # else withdrawn by its caller
                batch.append(unit)
        if batch:
            batch.sort(key=_TURN)
            self._in_flight = True
            self._inbox.put(batch)
        else:
            self._idle.set()  # type: ignore[union-attr]

    def _done(self, batch: list[Unit]) -> None:
        self._in_flight = False
        changes: list[Change] = []
        for unit in batch:
            if unit.error is None:
                changes.extend(unit.changes)
            _resolve(unit)
        if self._waiting:
            self._schedule()
        else:
            self._idle.set()  # type: ignore[union-attr]
        if changes:
            self._committed(changes)

    # --- in the thread ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        data_version = self._data_version()
        while True:
            try:
                batch = self._inbox.get(timeout=_FOREIGN_POLL)
            except queue.Empty:
                batch = []
            if batch is None:
                return
            if batch:
                began = time.perf_counter()
                self._run(batch)
                self._deliver(batch)
                if self._timed is not None:
                    self._timed(time.perf_counter() - began, len(batch))
            seen = self._data_version()
            if seen != data_version:
                data_version = seen
                self._call_loop(self._foreign)

    def _deliver(self, batch: list[Unit]) -> None:
        if isinstance(batch[0].future, ThreadFuture):
            _resolve(batch[0])
            return
        self._call_loop(self._done, batch)

    def _call_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():  # type: ignore[union-attr]
            self._loop.call_soon_threadsafe(callback, *arguments)  # type: ignore[union-attr]

    def _data_version(self) -> int:
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            logger.debug("data_version could not be read; foreign commits are seen at the next poll", exc_info=True)
            return -1

    def _run(self, batch: list[Unit]) -> None:
        """Commit the batch; if it fails as a whole, its units one by one, so that one cannot harm the others."""
        try:
            self._patiently(batch)
        except BaseException as error:  # noqa: BLE001 - a bug in a unit must reach its caller, not end the writer
            for unit in batch:
                unit.forget_outcome()
            if len(batch) == 1 or _is_busy(error):  # waited for already; one by one they would wait again
                for unit in batch:
                    unit.error = _translate(error) if isinstance(error, sqlite3.Error) else error
                return
            for unit in batch:
                self._run([unit])

    def _patiently(self, batch: list[Unit]) -> None:
        """Wait for other processes' transactions; naps of 0.3 ms keep the tail shorter than SQLite's own handler."""
        give_up = time.monotonic() + _PATIENCE
        while True:
            try:
                self._ledger.write(batch)
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > give_up:
                    raise
                for unit in batch:
                    unit.forget_outcome()
                time.sleep(_NAP)
            else:
                return


def _resolve(unit: Unit) -> None:
    future = unit.future
    if future is None or future.done():
        return
    if unit.error is None:
        future.set_result(unit.result)
    else:
        future.set_exception(unit.error)


def _is_busy(error: BaseException) -> bool:
    return (getattr(error, "sqlite_errorname", None) or "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _translate(error: sqlite3.Error) -> Exception:
    name = getattr(error, "sqlite_errorname", None) or ""
    if name in _FULL_CODES:
        msg = "The disk that holds the operation store is full; nothing was written. Free some space, then try again."
        return StorageFull(msg, retry_after=5)
    logger.error("the operation store refused a write: %s (%s)", error, name)
    msg = "The operation store cannot be written at the moment; nothing was written. Try again."
    return StoreUnavailable(msg, retry_after=1)
