"""Checks of a store in PostgreSQL: the server, the schema, durability, hints, and what waits."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from raincheck.cli.findings import Finding, ok, problem, refused, warning
from raincheck.cli.formats import duration, printable
from raincheck.cli.view import opened_database
from raincheck.cli.work_checks import PATIENCE, check_work, workers_of_fleet
from raincheck.core.errors import StoreError
from raincheck.stores.postgres.connecting import connect, driver
from raincheck.stores.postgres.inspection import work
from raincheck.stores.postgres.opening import newest_schema, refuse_old_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raincheck.cli.view import PostgresView
    from raincheck.locations import PostgresDatabase
    from raincheck.raincheck import Raincheck

_LITTLE_ROOM = 0.8
_CLOCK_TOLERANCE = timedelta(seconds=2)
_HINT = 2.0  # seconds


def check_postgres(database: PostgresDatabase, rain: Raincheck | None) -> Iterator[Finding]:
    """Check everything that can be seen with the rights of this role."""
    try:
        driver()
        with opened_database(database) as view:
            yield ok("store", f"{database} opens, schema {database.schema!r} has version {newest_schema()}.")
            yield _server(view)
            yield _durability(view)
            yield _room(view)
            yield _vacuum(view)
            now = view.run(lambda connection: connection.fetchval("SELECT clock_timestamp()"))
            yield _clock(now)
            found = view.run(lambda connection: work(connection, database.schema, now, overdue_before=now - PATIENCE))
            yield from check_work(found, workers_of_fleet(found, now), rain, now)
    except StoreError as error:
        yield refused(error)
        return
    yield _hints(database)


def _server(view: PostgresView) -> Finding:
    async def look(connection: Any) -> tuple[str, bool]:
        refuse_old_server(connection, view.database)
        version = await connection.fetchval("SHOW server_version")
        return version, bool(await connection.fetchval("SELECT pg_is_in_recovery()"))

    version, standby = view.run(look)
    if standby:
        remedy = "Name the primary, or add target_session_attrs=read-write to a URL that lists several hosts."
        return problem("server", f"PostgreSQL {version} here is a standby, which cannot be written.", remedy)
    return ok("server", f"The server is PostgreSQL {version}, and takes writes.")


def _durability(view: PostgresView) -> Finding:
    async def look(connection: Any) -> dict[str, str]:
        names = ("fsync", "full_page_writes")
        return {name: await connection.fetchval(f"SHOW {name}") for name in names}

    switched_off = [name for name, value in view.run(look).items() if value == "off"]
    if switched_off:
        message = f"The server runs with {' and '.join(switched_off)} off: a crash may lose what was accepted."
        return problem("durability", message, "Switch it on in postgresql.conf, unless the data are for tests.")
    return ok("durability", "The server writes to disk before it confirms a commit.")


def _room(view: PostgresView) -> Finding:
    async def look(connection: Any) -> tuple[int, int]:
        used = await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        return int(used), int(await connection.fetchval("SHOW max_connections"))

    used, limit = view.run(look)
    message = f"{used} of {limit} connections are in use; each process of Raincheck takes up to eleven."
    if used >= _LITTLE_ROOM * limit:
        return warning("connections", message, "Raise max_connections, or use PgBouncer (docs/postgresql.md).")
    return ok("connections", message)


def _vacuum(view: PostgresView) -> Finding:
    """Look for a transaction that stays open: it keeps dead rows, and a queue makes many of them."""
    text = (
        "SELECT pid, usename, now() - xact_start AS age FROM pg_stat_activity "
        "WHERE xact_start IS NOT NULL AND datname = current_database() AND now() - xact_start > interval '10 minutes' "
        "ORDER BY xact_start LIMIT 1"
    )
    row = view.run(lambda connection: connection.fetchrow(text))
    if row is None:
        return ok("vacuum", "No transaction has been open for long.")
    message = f"A transaction of {printable(str(row[1]))} (process {row[0]}) has been open for {duration(row[2])}."
    return warning("vacuum", message, "End it: until then no dead row can be cleaned, and claims get slower.")


def _clock(now: datetime) -> Finding:
    apart = abs(datetime.now(UTC) - now)
    if apart > _CLOCK_TOLERANCE:
        message = f"This machine's clock differs from the database's by {duration(apart)}."
        remedy = "Set it (NTP). Raincheck goes by the database's clock, but logs and other programs do not."
        return warning("clock", message, remedy)
    return ok("clock", "This machine's clock agrees with the database's.")


def _hints(database: PostgresDatabase) -> Finding:
    """Send one notification and wait for it, as processes do."""
    remedy = "LISTEN needs a connection to the server itself: set RAINCHECK_STORE_DIRECT where the store is a pooler."
    try:
        heard = asyncio.run(_heard(database))
    except (OSError, driver().PostgresError, driver().InterfaceError) as error:
        return problem("signals", f"The server itself cannot be reached: {error}.", remedy)
    if not heard:
        message = "A notification did not come back, so processes hear of each other only once a second."
        return warning("signals", message, remedy)
    return ok("signals", "Notifications (LISTEN/NOTIFY) arrive.")


async def _heard(database: PostgresDatabase) -> bool:
    listening = await connect(database, direct=True)
    telling = await connect(database)
    heard = asyncio.Event()
    channel = f"{database.schema}_doctor"
    try:
        await listening.add_listener(channel, lambda *_: heard.set())
        await telling.execute("SELECT pg_notify($1, '')", channel)
        async with asyncio.timeout(_HINT):
            await heard.wait()
    except TimeoutError:
        return False
    finally:
        listening.terminate()
        telling.terminate()
        await asyncio.sleep(0)
    return True
