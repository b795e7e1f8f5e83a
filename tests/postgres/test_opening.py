"""Opening a schema: made once, migrated forward, refused with a reason."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from raincheck.core.errors import ConfigurationError, SchemaTooNew, StoreError
from raincheck.stores.postgres import PostgresStore, connecting, opening
from raincheck.testing.conformance.specimens import record_of, submitted
from tests.postgres.conftest import database_at

pytestmark = pytest.mark.anyio


@pytest.fixture
def database(postgres_url):
    """A schema that nobody has used."""
    return database_at(postgres_url)


async def test_many_processes_may_start_at_once(database):
    """One makes the tables, the others wait and find them."""
    stores = [PostgresStore(database) for _ in range(8)]
    await asyncio.gather(*[store.open() for store in stores])
    operation = await submitted(stores[0])
    assert await record_of(stores[7], operation.id) == operation
    for store in stores:
        await store.close()


async def test_a_newer_schema_is_refused(database, postgres, open_store, postgres_url):
    """This release does not know what the newer one keeps there."""
    await open_store(postgres_url)
    postgres.psql(f"INSERT INTO {database.schema}.migrations (number) VALUES (9999)")
    with pytest.raises(SchemaTooNew, match="has version 9999, this release knows"):
        await PostgresStore(database).open()


async def test_a_role_without_ddl_rights_works_in_a_schema_that_is_up_to_date(
    database, postgres, open_store, postgres_url
):
    """The serving role needs no more than to read and write rows."""
    await open_store(postgres_url)
    role = f"app_{database.schema}"
    postgres.psql(f"CREATE ROLE {role} LOGIN")
    theirs = postgres_url.replace("postgres@", f"{role}@")
    with pytest.raises(StoreError, match="raincheck migrate"):
        await PostgresStore(database_at(theirs)).open()
    postgres.psql(f"GRANT USAGE ON SCHEMA {database.schema} TO {role}")
    postgres.psql(f"GRANT SELECT ON {database.schema}.migrations TO {role}")
    with pytest.raises(StoreError, match="may not read and write blob_pieces"):
        await PostgresStore(database_at(theirs)).open()
    postgres.psql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {database.schema} TO {role}")
    postgres.psql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {database.schema} TO {role}")
    store = await open_store(theirs)
    assert await record_of(store, (await submitted(store)).id)


async def test_a_role_that_may_not_make_the_schema_is_told_what_to_run(postgres, postgres_url):
    """Not a driver's traceback."""
    postgres.psql("CREATE ROLE nobody_special LOGIN")
    theirs = database_at(postgres_url.replace("postgres@", "nobody_special@"))
    with pytest.raises(StoreError, match=r"may not make or change the tables.*raincheck migrate"):
        await PostgresStore(theirs).open()


@pytest.mark.parametrize(
    ("change", "reason"),
    [("/postgres?", "/nowhere?"), ("postgres@", "stranger@"), ("127.0.0.1", "host.invalid")],
)
async def test_what_cannot_be_opened_is_named_without_its_password(postgres_url, monkeypatch, change, reason):
    """The message names host, user and database, and never a secret."""
    monkeypatch.setattr(connecting, "_START_PATIENCE", 0.1)
    url = postgres_url.replace(change, reason).replace("@", ":hunter2@")
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        await PostgresStore(database_at(url)).open()
    assert "hunter2" not in str(caught.value)


async def test_an_old_server_is_refused(database):
    """What the statements need came with later releases."""

    class Old:
        def get_server_version(self):
            class Version:
                major = 14

            return Version

    with pytest.raises(StoreError, match=r"is PostgreSQL 14; Raincheck needs 15 or newer"):
        await opening.migrate(Old(), database)


async def test_a_commit_waits_for_the_disk_even_where_the_role_does_not(database, postgres, open_store, postgres_url):
    """A 202 is durable, whatever somebody has set for the database."""
    role = f"hasty_{database.schema}"
    postgres.psql(f"CREATE ROLE {role} SUPERUSER LOGIN")
    postgres.psql(f"ALTER ROLE {role} SET synchronous_commit = off")
    store = await open_store(postgres_url.replace("postgres@", f"{role}@"))
    assert await store.pool.read(lambda connection: connection.fetchval("SHOW synchronous_commit")) == "on"


def test_without_the_driver_the_error_names_the_extra(monkeypatch):
    """Who installed only raincheck is told what else to install."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'raincheck\[postgres\]'"):
        connecting.driver()


def test_an_application_on_sqlite_never_imports_the_driver():
    """It is an extra, and costs time to import."""
    code = "import sys, raincheck, raincheck.parts; sys.exit('asyncpg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_a_connection_that_is_given_up_while_it_opens_is_closed(database, monkeypatch):
    """A process that ends at that moment leaves none behind."""
    opened = asyncio.get_running_loop().create_future()
    connect = connecting.driver().connect

    async def noted(*arguments, **keywords):
        connection = await connect(*arguments, **keywords)
        opened.set_result(connection)
        return connection

    monkeypatch.setattr(connecting.driver(), "connect", noted)
    monkeypatch.setattr(connecting, "_SESSION", "SELECT pg_sleep(60)")
    attempt = asyncio.ensure_future(connecting.connect(database))
    connection = await asyncio.wait_for(opened, 20)
    await asyncio.sleep(0)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert connection.is_closed()
