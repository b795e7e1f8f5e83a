"""A connection to the database that is opened when it is needed and kept, for one user at a time."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import asyncpg

from raincheck.core.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


@contextlib.asynccontextmanager
async def refused_with_a_remedy(name: str, schema: str) -> AsyncIterator[None]:
    """Say what to do where the role may not make an engine's tables.

    :raises EngineError: it may not.
    """
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        msg = (
            f"The role may not make or use the tables of {name} in schema {schema!r}: {error}. Run `raincheck migrate` "
            f"with RAINCHECK_ENGINE={name} and a role that owns the schema, and grant this one SELECT, INSERT, UPDATE "
            "and DELETE on its tables and USAGE on its sequences (docs/engines.md)."
        )
        raise EngineError(msg) from error


class KeptConnection:
    """Opens a new connection after each failure, whatever it was.

    :param connect: opens one.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect
        self._connection: Any = None
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def borrowed(self) -> AsyncIterator[Any]:
        """Lend the connection."""
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connect()
            try:
                yield self._connection
            except BaseException:
                self._connection.terminate()
                self._connection = None
                raise

    async def close(self) -> None:
        """Disconnect."""
        async with self._turn:
            connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # away already; what is left is the socket
                await connection.close(timeout=1)
