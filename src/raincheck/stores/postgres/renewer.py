"""Renews leases on a thread, an event loop and a connection of its own.

So neither a blocked loop nor a long transaction of this process keeps a lease from being renewed.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from raincheck.own_threads import in_own_thread
from raincheck.stores.postgres.connecting import begin, connect, is_lost, translated, unavailable

if TYPE_CHECKING:
    from raincheck.locations import PostgresDatabase


class Renewer:
    """Runs statements one after the other; the thread starts with the first."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._turn: asyncio.Lock | None = None
        self._connection: Any = None

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Run a statement in a transaction of its own and return its rows; call it from any thread's event loop.

        :raises StoreUnavailable: the database is away; the next call tries again.
        """
        loop = self._started()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._fetch(statement, arguments), loop))

    async def stop(self) -> None:
        """Disconnect and end the thread."""
        if self._loop is None or self._thread is None:
            return
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._disconnect(), self._loop))
        self._loop.call_soon_threadsafe(self._loop.stop)
        await in_own_thread(self._thread.join)
        self._loop = None

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._turn = asyncio.Lock()
                self._thread = threading.Thread(target=_serve, args=(loop,), name="raincheck-renewer", daemon=True)
                self._thread.start()
                self._loop = loop
            return self._loop

    async def _fetch(self, statement: str, arguments: tuple[Any, ...]) -> list[Any]:
        async with self._turn:  # type: ignore[union-attr]
            # Renewing twice is harmless, so a connection that has died since the last time is replaced at once.
            for last in (False, True):
                try:
                    return await self._attempt(statement, arguments)
                except Exception as error:
                    await self._disconnect()
                    if not is_lost(error):
                        raise translated(error) from error
                    if last:
                        raise unavailable() from error
        raise AssertionError

    async def _attempt(self, statement: str, arguments: tuple[Any, ...]) -> list[Any]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._database)
        if not self._database.pooled:
            return list(await self._connection.fetch(statement, *arguments))
        await begin(self._connection, self._database)
        rows = await self._connection.fetch(statement, *arguments)
        await self._connection.execute("COMMIT")
        return list(rows)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
            await asyncio.sleep(0)  # the transport closes in the next turn


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()
