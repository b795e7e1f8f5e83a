"""What docs/postgresql.md says of roles, TLS, poolers, old servers and connections, against real ones."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import asyncpg
import pytest
import trustme

from raincheck.core.errors import StoreError
from raincheck.core.operation import Status
from raincheck.stores.postgres import PostgresStore, connecting
from raincheck.testing.conformance import (
    DeliveryConformance,
    OperationStoreConformance,
    OutboxConformance,
    TicketConformance,
)
from raincheck.testing.conformance.specimens import record_of, started, submitted, succeed
from tests.chaos.driver import Scene
from tests.docs.pages import ROOT, blocks
from tests.postgres.conftest import database_at
from tests.postgres.server import PATIENCE, PostgresServer, free_port

PAGE = ROOT / "docs" / "postgresql.md"
OLDEST = Path("/usr/lib/postgresql/15/bin")
pytestmark = pytest.mark.anyio


async def test_the_roles_of_the_page_are_enough(postgres, open_store):
    """The owner migrates, the other serves and works, and may not change a table."""
    [script] = blocks(PAGE, "sql")
    postgres.psql("CREATE DATABASE roles")
    for text in script.text.split(";\n"):
        if text.strip():
            postgres.psql(text, database="roles")
    owner, served = (postgres.url("roles", user=f"raincheck_{name}") for name in ("owner", "app"))
    with pytest.raises(StoreError, match="raincheck migrate"):
        await PostgresStore(database_at(served)).open()
    migrated = PostgresStore(database_at(owner))
    await migrated.open()
    await migrated.close()
    store = await open_store(served)
    running = await started(store)
    assert (await succeed(store, running.id)).status is Status.SUCCEEDED
    await store.prune(running.created_at)
    connection = await asyncpg.connect(served)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("DROP TABLE raincheck.events")
    await connection.close()


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory):
    """A server that wants TLS, and the authority that signed its certificate."""
    if not OLDEST.is_dir():
        pytest.skip(f"the embedded server is built without TLS, and there is none in {OLDEST}")
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    server = PostgresServer(binaries=OLDEST)
    server.stop("fast")
    for name, blob in (("server.key", certificate.private_key_pem), ("server.crt", certificate.cert_chain_pems[0])):
        path = server.data / name
        path.write_bytes(blob.bytes())
        path.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(path, "nobody")
    with (server.data / "postgresql.conf").open("a") as file:
        file.write("ssl = on\n")
    (server.data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust\n")
    server.start()
    yield server, folder
    server.close()


async def test_verify_full_checks_who_the_server_is(encrypted, monkeypatch, tmp_path, open_store):
    """The right authority and name are taken; another authority or name is refused and said so."""
    monkeypatch.setattr(connecting, "_START_PATIENCE", 0.1)
    server, folder = encrypted
    url = server.url().replace("127.0.0.1", "localhost")
    trusted = f"sslmode=verify-full&sslrootcert={folder}/ca.pem"
    store = await open_store(f"{url}?{trusted}&schema=tls")
    assert await record_of(store, (await submitted(store)).id)
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    wrong = (f"{url}?sslmode=verify-full&sslrootcert={tmp_path}/other.pem", f"{server.url()}?{trusted}")
    for each in (*wrong, f"{url}?sslmode=disable"):
        with pytest.raises(StoreError, match="cannot be opened"):
            await PostgresStore(database_at(each)).open()


@pytest.fixture(scope="module")
def pooled(postgres, tmp_path_factory):
    """The URL of a PgBouncer in transaction mode, which gives two connections of the server in turn."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    folder = tmp_path_factory.mktemp("pgbouncer")
    port = free_port()
    (folder / "users").write_text('"postgres" ""\n')
    (folder / "ini").write_text(
        f"[databases]\npostgres = host=127.0.0.1 port={postgres.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = trust\nauth_file = {folder}/users\n"
        "pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 200\nunix_socket_dir =\n"
    )
    as_user: dict[str, object] = {}
    if os.geteuid() == 0:
        as_user = {"user": "nobody"}
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "nobody")
        for parent in (folder, *list(folder.parents)[:-2]):
            parent.chmod(parent.stat().st_mode | 0o055)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "ini")], stdout=log, stderr=log, **as_user)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, (folder / "log").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.02)
    yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    process.terminate()
    process.wait(PATIENCE)


class TestThroughPgBouncer(OperationStoreConformance):
    """In transaction mode each transaction may meet another connection."""

    @pytest.fixture
    async def store(self, pooled, postgres_url, open_store):
        """Provide a store whose statements go through the pooler."""
        schema = postgres_url.partition("?")[2]
        return await open_store(f"{pooled}?{schema}", direct=postgres_url)


def test_a_fleet_works_through_pgbouncer(pooled, postgres_url, tmp_path):
    """Web and worker hear of each other by the one direct connection that each has."""
    schema = postgres_url.partition("?")[2]
    settings = {"RAINCHECK_STORE": f"{pooled}?{schema}", "RAINCHECK_STORE_DIRECT": postgres_url}
    scene = Scene(tmp_path, settings=settings)
    try:
        web = scene.start(RAINCHECK_WORKERS="false").ready()
        scene.start_worker()
        operations = [
            web.submit(kind, steps=2, pause=0.02) for kind in ("async", "thread", "process") for _ in range(5)
        ]
        scene.finished(operations, by=web)
        began = time.monotonic()
        answer = web.client.post("/async", json={"steps": 1, "pause": 0.01}, headers={"Prefer": "wait=10"})
        assert answer.status_code == 200, answer.text
        assert time.monotonic() - began < 0.9, "slower than the poll behind the signals would be"
        scene.settings["RAINCHECK_STORE"] = postgres_url
        del scene.settings["RAINCHECK_STORE_DIRECT"]
        scene.judge(operations)
    finally:
        scene.close()


@pytest.fixture(scope="module")
def oldest():
    """A server of the oldest version that is supported."""
    if not OLDEST.is_dir():
        pytest.skip(f"PostgreSQL 15 is not installed in {OLDEST}")
    server = PostgresServer(binaries=OLDEST)
    yield server
    server.close()


class TestOldestServer(OperationStoreConformance, OutboxConformance, TicketConformance, DeliveryConformance):
    """PostgreSQL 15, where Debian's is installed."""

    @pytest.fixture
    async def store(self, oldest, postgres_url, open_store):
        """Provide an open, empty store."""
        return await open_store(f"{oldest.url()}?{postgres_url.partition('?')[2]}")


def test_a_process_takes_no_more_connections_than_the_page_says(postgres, postgres_url, tmp_path):
    """Eleven, under many requests at once."""
    scene = Scene(tmp_path, settings={"RAINCHECK_STORE": postgres_url, "RAINCHECK_LEASE": "1s"})
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'raincheck'"
    try:
        before = int(postgres.psql(count))
        server = scene.start().ready()

        async def crowd():
            async def one():
                await asyncio.to_thread(server.submit, "async", steps=3, pause=0.05)

            await asyncio.gather(*(one() for _ in range(60)))

        asyncio.run(crowd())
        assert 1 <= int(postgres.psql(count)) - before <= 11
    finally:
        scene.close()
