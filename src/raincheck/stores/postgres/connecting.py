"""Connections to PostgreSQL, and what their errors mean."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any

from raincheck.core.errors import ConfigurationError, StorageFull, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from raincheck.locations import PostgresDatabase

logger = logging.getLogger("raincheck.store")

CONNECT_TIMEOUT = 5.0
STATEMENT_TIMEOUT = 10.0
OLDEST_SERVER = 15
_START_PATIENCE = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
# Every statement here is made for an index; a table that was never analysed must not be read whole for one row.
# A writer that stands still in mid-transaction is ended by the server, which frees its rows.
_GUARDS = (
    "{set} enable_hashjoin = off; {set} enable_mergejoin = off; {set} enable_seqscan = off; {set} jit = off; "
    "{set} lock_timeout = '3s'; {set} idle_in_transaction_session_timeout = '10s'"
)
_SESSION = _GUARDS.format(set="SET")
_BEGIN_POOLED = f"BEGIN; {_GUARDS.format(set='SET LOCAL')}"
# A 202 is a durable commit: a role or database that switched waiting for it off is overruled.
_DURABLE = "SELECT set_config('synchronous_commit', 'on', {local}) WHERE current_setting('synchronous_commit') = 'off'"


def driver() -> Any:
    """Return the driver's module.

    :raises ConfigurationError: it is not installed.
    """
    try:
        import asyncpg  # noqa: PLC0415 - only stores in PostgreSQL need it
    except ImportError as error:
        msg = "A postgresql:// store needs its driver. Install it: pip install 'raincheck[postgres]'."
        raise ConfigurationError(msg) from error
    return asyncpg


async def connect(database: PostgresDatabase, *, direct: bool = False) -> Any:
    """Open a connection; ``direct`` goes past a pooler, to the server itself."""
    url = database.direct_url if direct and database.direct_url else database.url
    pooled = database.pooled and not direct
    connection = await driver().connect(
        url,
        timeout=CONNECT_TIMEOUT,
        command_timeout=STATEMENT_TIMEOUT,
        # Behind a pooler the next statement may meet another connection, which knows no prepared statement.
        statement_cache_size=0 if pooled else 200,
        max_cached_statement_lifetime=0,
        server_settings={"application_name": "raincheck"},
    )
    try:
        if not pooled:
            await connection.execute(f"{_SESSION}; {_DURABLE.format(local='false')}")
    except BaseException:
        connection.terminate()  # nobody else knows it: cancelled here, it would stay open
        raise
    return connection


async def begin(connection: Any, database: PostgresDatabase) -> None:
    """Begin a transaction; behind a pooler it brings its settings along."""
    if database.pooled:
        await connection.execute(f"{_BEGIN_POOLED}; {_DURABLE.format(local='true')}")
    else:
        await connection.execute("BEGIN")


async def connect_patiently(database: PostgresDatabase, *, patience: float | None = None) -> Any:
    """Open a direct connection at the start, waiting a while for a server that is starting too.

    :raises StoreError: it cannot be reached or refuses; the message says what to do.
    """
    give_up = asyncio.get_running_loop().time() + (_START_PATIENCE if patience is None else patience)
    async for _ in pauses():
        try:
            return await connect(database, direct=True)
        except Exception as error:
            if is_lost(error) and asyncio.get_running_loop().time() < give_up:
                logger.warning("%s cannot be reached yet (%s); trying again", database, _shown(error))
                continue
            if not isinstance(error, OSError | driver().PostgresError | driver().InterfaceError):
                raise
            msg = (
                f"{database} cannot be opened: {_shown(error)}. Check that the server runs and is reachable, and the "
                "host, port, user, password, database and TLS parameters of RAINCHECK_STORE."
            )
            raise StoreError(msg) from error
    raise AssertionError  # pauses never end


async def pauses() -> AsyncIterator[int]:
    """Yield at once, then after growing pauses with some chance in them, so that a fleet does not return in step."""
    pause, number = _FIRST_PAUSE, 0
    while True:
        yield number
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, protects nothing
        pause, number = min(_LONGEST_PAUSE, pause * 2), number + 1


# --- what errors mean -----------------------------------------------------------------------------------------


def is_lost(error: BaseException) -> bool:
    """Tell whether the connection is of no use any more, and another one may do."""
    asyncpg = driver()
    return isinstance(
        error,
        (
            OSError,  # TimeoutError is one
            asyncpg.PostgresConnectionError,
            asyncpg.InterfaceError,
            asyncpg.AdminShutdownError,
            asyncpg.CrashShutdownError,
            asyncpg.CannotConnectNowError,
            asyncpg.TooManyConnectionsError,
            asyncpg.IdleInTransactionSessionTimeoutError,
            asyncpg.ReadOnlySQLTransactionError,  # a primary that has become a standby
        ),
    ) and not isinstance(error, asyncpg.DataError)


def translated(error: BaseException) -> BaseException:
    """Return the error that a caller can act on; what is no error of the database stays as it is."""
    asyncpg = driver()
    if isinstance(error, asyncpg.DiskFullError):
        msg = "The disk that holds the operation store is full; nothing was written. Free some space, then try again."
        return StorageFull(msg, retry_after=5)
    if isinstance(error, OSError | asyncpg.PostgresError | asyncpg.InterfaceError):
        logger.error("the operation store refused a statement: %s", _shown(error))
        return unavailable()
    return error


def unavailable() -> StoreUnavailable:
    """Return the error for a database that is away or busy, when nothing was written."""
    msg = "The operation store cannot be reached at the moment; nothing was written. Try again."
    return StoreUnavailable(msg, retry_after=1)


def _shown(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
