"""Hints through LISTEN and NOTIFY, on one connection of its own.

A notification is sent after the commit, not in it: a transaction that notifies holds a lock over its commit's fsync
that all others which notify wait for. What is lost with the process between the two costs the others one slow poll.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

logger = logging.getLogger("raincheck.signals")
_LONGEST_SILENCE = 10.0
"""The connection is tried this often, in seconds: one that was cut in the network says nothing."""
_APART = 0.01
"""Notifications of one process are at least this far apart: all commits between share one."""


class PostgresSignals:
    """Implements Signals: says once when others have written, and tells them when this process has.

    :param connect: opens a connection to the server itself; a pooler in transaction mode cannot listen.
    :param pauses: yields at once, then after growing pauses.
    :param channel: a name that all processes on the same data share.
    """

    def __init__(
        self,
        *,
        connect: Callable[[], Awaitable[Any]],
        pauses: Callable[[], AsyncIterator[int]],
        channel: str,
    ) -> None:
        self._connect = connect
        self._pauses = pauses
        self._channel = channel
        self._notice: Callable[[], None] | None = None
        self._written = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, notice: Callable[[], None]) -> None:
        """Listen from now on; while there is no connection, nothing is heard and nobody is told."""
        self._notice = notice
        self._tasks = [asyncio.create_task(self._work(), name="raincheck-signals")]

    async def stop(self) -> None:
        """Call no notice any more, and disconnect."""
        self._notice = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def tell(self) -> None:
        """Tell the other processes that this one has written something; it takes no time here."""
        self._written.set()

    async def _work(self) -> None:
        while True:
            connection = await self._connected()
            try:
                await self._use(connection)
            except Exception as error:  # noqa: BLE001 - the next connection may do
                logger.info("the connection that listens was lost: %s", error)
            finally:
                connection.terminate()

    async def _connected(self) -> Any:
        async for attempt in self._pauses():
            try:
                return await self._connect()
            except Exception as error:  # noqa: BLE001 - whatever keeps us from listening, polling goes on
                if attempt == 0:
                    logger.warning("other processes are not heard; polling once a second: %s", error)
        raise AssertionError  # pauses never end

    async def _use(self, connection: Any) -> None:
        # Commits of others may wait for the disk; a hint need not.
        await connection.execute("SET synchronous_commit = off")
        mine = connection.get_server_pid()

        def heard(_connection: Any, sender: int, _channel: str, _payload: str) -> None:
            if sender != mine:  # what this process wrote, it knows
                self._say()

        await connection.add_listener(self._channel, heard)
        self._say()  # what was written while nobody listened
        self._written.set()  # and what this process wrote while it could tell nobody
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_SILENCE):
                    await self._written.wait()
            if self._written.is_set():
                self._written.clear()
                await connection.execute("SELECT pg_notify($1, '')", self._channel)
                await asyncio.sleep(_APART)
            else:
                await connection.execute("SELECT 1")

    def _say(self) -> None:
        if self._notice is not None:
            self._notice()
