"""Readers beside the writer: a few threads, each with its own read-only connection."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from raincheck.core.errors import StoreUnavailable
from raincheck.stores.sqlite.opening import connect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")
_THREADS = 2
logger = logging.getLogger("raincheck.store")


class Readers:
    """Runs queries off the loop. In WAL mode they never wait for the writer, nor it for them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(_THREADS, "raincheck-reader")

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query and return its result.

        :raises StoreUnavailable: the database cannot be read at the moment.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._query, query)
        except (sqlite3.Error, RuntimeError) as error:
            raise _refused(error) from error

    def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        return query(self._connection())

    def _connection(self) -> sqlite3.Connection:
        """Return the thread's connection, opened at its first query.

        Not as the pool's initializer: one that fails, such as for want of a file descriptor, breaks a pool for good.
        """
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self._path, read_only=True)
            self._local.connection = connection
            self._connections.append(connection)
        return connection

    def close(self) -> None:
        """End the threads, then close their connections."""
        self._pool.shutdown(wait=True)
        for connection in self._connections:
            connection.close()


def _refused(error: Exception) -> StoreUnavailable:
    if isinstance(error, sqlite3.Error):  # the caller is told nothing of it, and nobody else would hear
        name = getattr(error, "sqlite_errorname", None) or ""
        logger.error("the operation store refused a read: %s (%s)", error, name)
    msg = "The operation store cannot be read at the moment. Try again."
    return StoreUnavailable(msg, retry_after=1)
