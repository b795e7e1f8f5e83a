"""The schema: numbered migrations, forward only, safe when several processes start at once."""

from __future__ import annotations

import zlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from raincheck.core.errors import SchemaTooNew, StoreError
from raincheck.stores.postgres.connecting import OLDEST_SERVER, driver

if TYPE_CHECKING:
    from raincheck.locations import PostgresDatabase

_HAS_MIGRATIONS = (
    "SELECT EXISTS (SELECT FROM pg_class AS relation JOIN pg_namespace AS space ON space.oid = relnamespace "
    "WHERE space.nspname = $1 AND relation.relname = 'migrations')"
)
_TABLES_OF_NO_USE = (
    "SELECT relation.relname FROM pg_class AS relation JOIN pg_namespace AS space ON space.oid = relnamespace "
    "WHERE space.nspname = $1 AND relkind = 'r' AND relation.relname <> 'migrations' AND NOT ("
    "has_table_privilege(relation.oid, 'SELECT') AND has_table_privilege(relation.oid, 'INSERT') AND "
    "has_table_privilege(relation.oid, 'UPDATE') AND has_table_privilege(relation.oid, 'DELETE')) "
    "ORDER BY relation.relname"
)


async def migrate(connection: Any, database: PostgresDatabase) -> None:
    """Bring the schema to this release. A schema that is up to date is only read, so the role may lack DDL rights.

    :raises SchemaTooNew: a newer release wrote it.
    :raises StoreError: the server is too old, or the role may not do what is needed.
    """
    refuse_old_server(connection, database)
    try:
        version = await schema_version(connection, database)
        if version < newest_schema():
            await _apply_migrations(connection, database)
        refuse_newer(max(version, await schema_version(connection, database)), database)
        await _refuse_missing_rights(connection, database)
    except driver().InsufficientPrivilegeError as error:
        msg = (
            f"The role of {database} may not make or change the tables in schema {database.schema!r}: {error}. Run "
            "`raincheck migrate --store URL` with a role that owns them, then start again (docs/postgresql.md, Roles)."
        )
        raise StoreError(msg) from error


async def schema_version(connection: Any, database: PostgresDatabase) -> int:
    """Return the number of the last migration that the schema has seen; 0 where there is none."""
    # Not by to_regclass, whose cache does not see what another process committed while this one waited for it.
    if not await connection.fetchval(_HAS_MIGRATIONS, database.schema):
        return 0
    return int(await connection.fetchval(f"SELECT coalesce(max(number), 0) FROM {database.schema}.migrations"))


def newest_schema() -> int:
    """Return the number of this release's last migration."""
    return max(number for number, _ in _migrations())


async def _apply_migrations(connection: Any, database: PostgresDatabase) -> None:
    async with connection.transaction():
        # Others that start now wait here, then find the work done.
        await connection.execute("SET LOCAL lock_timeout = 0")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", zlib.crc32(database.schema.encode()))
        version = await schema_version(connection, database)
        for number, script in _migrations():
            if number <= version:
                continue
            if number == 1:
                await _make_schema(connection, database)
            await connection.execute(script.replace("{schema}", database.schema))
            await connection.execute(f"INSERT INTO {database.schema}.migrations (number) VALUES ($1)", number)


async def _make_schema(connection: Any, database: PostgresDatabase) -> None:
    # Not IF NOT EXISTS: that wants the right to create schemas also where an administrator has made this one.
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", database.schema):
        await connection.execute(f"CREATE SCHEMA {database.schema}")
    await connection.execute(
        f"CREATE TABLE {database.schema}.migrations "
        "(number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    )


def refuse_old_server(connection: Any, database: PostgresDatabase) -> None:
    """Refuse a server that lacks what the statements need.

    :raises StoreError: it is too old.
    """
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        msg = f"{database} is PostgreSQL {version.major}; Raincheck needs {OLDEST_SERVER} or newer. Upgrade the server."
        raise StoreError(msg)


def refuse_newer(version: int, database: PostgresDatabase) -> None:
    """Refuse a schema that a newer release wrote.

    :raises SchemaTooNew: it is.
    """
    newest = newest_schema()
    if version > newest:
        msg = (
            f"Schema {database.schema!r} of {database} has version {version}, this release knows {newest} at most. "
            "Upgrade raincheck to the release that wrote it, or use another database or ?schema=."
        )
        raise SchemaTooNew(msg)


async def _refuse_missing_rights(connection: Any, database: PostgresDatabase) -> None:
    refused = [row[0] for row in await connection.fetch(_TABLES_OF_NO_USE, database.schema)]
    if refused:
        msg = (
            f"The role of {database} may not read and write {', '.join(refused)} in schema {database.schema!r}. Grant "
            "it SELECT, INSERT, UPDATE and DELETE on all tables there (docs/postgresql.md, Roles)."
        )
        raise StoreError(msg)


def _migrations() -> list[tuple[int, str]]:
    folder = files("raincheck.stores.postgres.migrations")
    scripts = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return sorted((int(entry.name[:4]), entry.read_text(encoding="utf-8")) for entry in scripts)
