"""A few connections for what needs no group commit: reads, and writes that are rare."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from raincheck.core.errors import StoreUnavailable
from raincheck.stores.postgres.connecting import begin, connect, is_lost, pauses, translated, unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from raincheck.locations import PostgresDatabase

T = TypeVar("T")
_CONNECTIONS = 4
_PATIENCE = 3.0


class Pool:
    """Hands out connections, at most four, opened when they are needed and kept.

    Not the driver's own pool: that one resets each connection with a statement of its own after each use, and hands
    out dead ones after an outage.
    """

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._idle: list[Any] = []
        self._room = asyncio.Semaphore(_CONNECTIONS)
        self._open = False

    async def open(self) -> None:
        """Begin to hand out connections."""
        self._open = True

    async def close(self) -> None:
        """Close the idle connections; those in use close when they come back."""
        self._open = False
        idle, self._idle = self._idle, []
        for connection in idle:
            await _closed(connection)

    async def read(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Run a query, again on another connection where the first was lost.

        :raises StoreUnavailable: the database is away.
        """
        if self._database.pooled:
            return await self._patiently(lambda connection: self._within("BEGIN READ ONLY", connection, work))
        return await self._patiently(work)

    async def read_at_one_moment(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Run queries that all see the database as it is at one moment."""
        start = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        return await self._patiently(lambda connection: self._within(start, connection, work))

    async def write(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Run a transaction, once: whether a commit without an answer happened is for the caller to look.

        :raises StoreUnavailable: the database is away.
        """
        try:
            return await self._once(lambda connection: self._transaction(connection, work))
        except Exception as error:
            if is_lost(error):
                msg = "The operation store went away; whether this was written is not known. Look, then try again."
                raise StoreUnavailable(msg, retry_after=1) from error
            raise translated(error) from error

    async def _patiently(self, work: Callable[[Any], Awaitable[T]]) -> T:
        give_up = asyncio.get_running_loop().time() + _PATIENCE
        async for _ in pauses():
            try:
                return await self._once(work)
            except Exception as error:
                if not is_lost(error):
                    raise translated(error) from error
                if asyncio.get_running_loop().time() >= give_up:
                    raise unavailable() from error
        raise AssertionError  # pauses never end

    async def _once(self, work: Callable[[Any], Awaitable[T]]) -> T:
        if not self._open:
            msg = "The store is closed; the process is shutting down. Send the request again."
            raise StoreUnavailable(msg, retry_after=1)
        async with self._room:
            connection = self._usable() or await connect(self._database)
            try:
                result = await work(connection)
            except BaseException:
                # In the middle of something, or of no use: the next one gets a fresh connection.
                connection.terminate()
                raise
            if self._open:
                self._idle.append(connection)
            else:
                await _closed(connection)
            return result

    def _usable(self) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _transaction(self, connection: Any, work: Callable[[Any], Awaitable[T]]) -> T:
        await begin(connection, self._database)
        result = await work(connection)
        await connection.execute("COMMIT")
        return result

    async def _within(self, start: str, connection: Any, work: Callable[[Any], Awaitable[T]]) -> T:
        await connection.execute(start)
        result = await work(connection)
        await connection.execute("COMMIT")
        return result


async def _closed(connection: Any) -> None:
    try:
        await connection.close(timeout=1)
    except Exception:  # noqa: BLE001 - the server is away; what is left is the socket
        connection.terminate()
