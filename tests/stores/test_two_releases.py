"""Two releases on one store, as in a rolling update: both work, or the older one refuses clearly.

The newer release is today's package, copied, with one more migration.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import raincheck
from raincheck.core import transitions
from raincheck.core.errors import StoreUnavailable
from raincheck.core.operation import Operation, Status
from raincheck.ports import Claim
from raincheck.stores.postgres import PostgresStore
from raincheck.stores.postgres import opening as postgres_opening
from raincheck.stores.sqlite import SqliteStore
from raincheck.stores.sqlite import opening as sqlite_opening
from raincheck.testing.conformance.specimens import NOW, a_claim, an_operation, record_of, submitted, succeed
from tests.chaos.driver import Scene
from tests.postgres.conftest import database_at

NEXT = sqlite_opening.newest_schema() + 1
MIGRATIONS = {
    "sqlite": f"{NEXT:04}_tomorrow.sql",
    "postgres": f"{postgres_opening.newest_schema() + 1:04}_tomorrow.sql",
}
TOMORROW = "ALTER TABLE {schema}operations ADD COLUMN tomorrow TEXT NOT NULL DEFAULT 'new';\n"
TOMORROW += "CREATE TABLE {schema}inventions (name TEXT);\n"


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """Provide a folder with a newer release, to put before others on the path."""
    site = tmp_path / "newer"
    package = site / "raincheck"
    shutil.copytree(Path(raincheck.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for kind, name in MIGRATIONS.items():
        script = TOMORROW.replace("{schema}", "{schema}." if kind == "postgres" else "")
        (package / "stores" / kind / "migrations" / name).write_text(script)
    return site


def command(site: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of a release."""
    path = {} if site is None else {"PYTHONPATH": str(site)}
    code = "from raincheck.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=os.environ | path, capture_output=True, text=True, check=False
    )


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Provide a database and the means to start servers on it."""
    made = Scene(tmp_path, settings={"RAINCHECK_LEASE": "1s"})
    try:
        yield made
    finally:
        made.close()


def test_a_newer_server_takes_over_a_file_that_an_older_one_has_open(
    scene: Scene, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older one answers 503 and still reads; all that it had accepted ends once, in the newer one."""
    older = scene.start().ready()
    running = older.submit("async", steps=1, linger=500, pause=0.05)
    scene.begun(running)
    done = older.submit("async", steps=1)
    scene.finished([done], by=older)
    path = os.pathsep.join([str(newer), scene.environment()["PYTHONPATH"]])
    later = scene.start(PYTHONPATH=path).ready()

    answer = older.client.post("/async", json={"steps": 1})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:raincheck:problem:store-unavailable")
    assert "newer release" in answer.json()["detail"]
    assert older.get(done)["status"] == "succeeded"
    scene.begun(running, run=2)
    new = later.submit("thread", steps=1)
    scene.finished([running, new], by=later)
    monkeypatch.setattr(sqlite_opening, "newest_schema", lambda: NEXT)
    scene.judge([running, done, new])
    assert older.get(running)["status"] == "succeeded", "an older process reads what a newer one wrote"
    assert older.terminate() < 5.0
    log = older.log.read_text()
    assert "newer release" in log
    assert len(log.splitlines()) < 30, "an old process floods the log while it waits for its end"


def test_an_older_release_refuses_to_start_on_a_newer_file(tmp_path: Path, newer: Path) -> None:
    """A downgrade says which schema it found and what to do; the newer release goes on with the file."""
    store = f"sqlite:///{tmp_path / 'operations.db'}"
    assert json.loads(command(newer, "migrate", "--store", store, "--json").stdout)["after"] == NEXT
    for arguments in (["ls"], ["migrate"], ["prune"]):
        refused = command(None, *arguments, "--store", store)
        assert refused.returncode == 1, refused.stdout
        assert f"has schema {NEXT}, this release knows {NEXT - 1} at most" in " ".join(refused.stderr.split())
        assert "Traceback" not in refused.stderr
    assert command(newer, "ls", "--store", store).returncode == 0


def test_a_newer_release_tells_what_to_do_where_a_command_must_not_migrate(tmp_path: Path, newer: Path) -> None:
    """Looking changes nothing: the file of the older release stays as it is until somebody migrates."""
    path = tmp_path / "operations.db"
    store = f"sqlite:///{path}"
    assert command(None, "migrate", "--store", store).returncode == 0
    refused = command(newer, "ls", "--store", store)
    assert refused.returncode == 1
    assert "Run `raincheck migrate` with this release" in refused.stderr
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (NEXT - 1,)


@contextlib.asynccontextmanager
async def opened(store: Any) -> Any:
    """Open a store and close it again."""
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.anyio
@pytest.mark.parametrize("claim", [None, a_claim()], ids=["accepted", "begun"])
async def test_a_process_that_a_newer_release_overtook_writes_nothing_more(tmp_path: Path, claim: Claim | None) -> None:
    """Whatever it wanted to write is refused, and no newer row is harmed; it goes on reading."""
    path = tmp_path / "operations.db"
    async with opened(SqliteStore(path)) as store:
        before = an_operation()
        await store.submit(before)
        with contextlib.closing(sqlite3.connect(path)) as newer:
            newer.execute(f"PRAGMA user_version = {NEXT}")
        refused: list[Callable[[], Any]] = [
            lambda: store.submit(an_operation(), claim=claim),
            lambda: store.change(before.id, lambda found: transitions.request_cancel(found, now=NOW)),
            lambda: store.claim(a_claim()),
            lambda: store.prune(NOW),
        ]
        for wish in refused:
            with pytest.raises(StoreUnavailable, match=r"newer release.*Restart"):
                await wish()
        found = await store.get(before.id)
        assert isinstance(found, Operation)
        assert found.status is Status.QUEUED


@pytest.mark.anyio
async def test_an_older_process_works_on_in_a_database_that_a_newer_one_migrated(
    postgres_url: str, newer: Path
) -> None:
    """In PostgreSQL a migration only adds, so machines may be updated one after the other."""
    async with opened(PostgresStore(database_at(postgres_url))) as older:
        waiting = await submitted(older)
        migrated = await asyncio.to_thread(command, newer, "migrate", "--store", postgres_url, "--json")
        assert migrated.returncode == 0, migrated.stderr
        [claimed] = await older.claim(a_claim())
        assert claimed.id == waiting.id
        assert (await succeed(older, claimed.id)).status is Status.SUCCEEDED
        later = await submitted(older, idempotency_key="later", fingerprint="print")
        assert await record_of(older, later.id) == later
    listed = await asyncio.to_thread(command, newer, "ls", "--store", postgres_url, "--json")
    assert {json.loads(line)["id"] for line in listed.stdout.splitlines()} == {waiting.id, later.id}
    refused = await asyncio.to_thread(command, None, "ls", "--store", postgres_url)
    assert refused.returncode == 1
    assert "this release knows" in " ".join(refused.stderr.split())
