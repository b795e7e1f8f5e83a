"""``raincheck migrate-store``: everything arrives, nothing can run twice, and a wrong target is refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from raincheck.cli import app
from raincheck.core import transitions
from raincheck.core.deliveries import DeliveryStatus
from raincheck.core.endpoints import Endpoint
from raincheck.core.events import LogLine, Output
from raincheck.core.operation import Progress, Status, StoredResult, changed
from raincheck.ports import DeliveryQuery, KeyConflict, Replayed, Ticket, Tombstone
from raincheck.stores.blobs import LocalBlobs
from raincheck.stores.postgres import PostgresStore
from raincheck.stores.postgres.blobs import PostgresBlobs
from raincheck.stores.sqlite import SqliteStore
from raincheck.stores.sqlite.store import side_folder
from raincheck.testing.conformance.specimens import (
    an_operation,
    brought_to,
    start,
    started,
    submitted,
    succeed,
)
from tests.chaos.driver import Scene
from tests.postgres.conftest import database_at

NOW = datetime.now(UTC).replace(microsecond=0)
HOSTILE = "a\x00b \ud800 \x1a0000 \u2028 ü"
BIG = [b"x" * 700_000, b"y" * 900_000]


@pytest.fixture
def file(tmp_path):
    """Where the SQLite store is."""
    return tmp_path / "raincheck.db"


@pytest.fixture
def move(file, postgres_url):
    """Return a function that runs the command."""
    return lambda *more: CliRunner().invoke(app, ["migrate-store", f"sqlite:///{file}", postgres_url, *more])


async def pieces():
    for piece in BIG:
        yield piece


async def fill(store, folder):
    """Write one operation of each status and of each sort of content; return all ids."""
    await store.set_endpoints([Endpoint("https://hooks.example.com/one")])
    ids = [(await brought_to(store, status, owner="ada")).id for status in Status]
    keyed = {"idempotency_key": "k", "fingerprint": "f", "owner": "ada", "kind": "report"}
    told = await submitted(store, **keyed, input=json.dumps({"body": HOSTILE}), metadata={"a": "ü b"})
    await start(store, told.id)
    entries = [Output('{"n": 1}'), LogLine("half-way"), *[Output(str(number)) for number in range(5000)]]
    progress = Progress(current=1, total=2, message="ü")

    def record(found):
        return transitions.record(found, run=1, entries=entries, progress=progress, now=NOW)

    await store.change(told.id, record)
    blobs = LocalBlobs(folder / "blobs")
    name = f"{told.id}/1/result"
    await blobs.put(name, pieces())
    await blobs.put(f"{told.id}/0/upload", pieces())
    result = StoredResult(media_type="text/plain", blob=name, size=1_600_000, etag="e", headers=(("x-a", "b"),))
    await store.change(told.id, lambda found: transitions.succeed(found, run=1, result=result, now=NOW))
    waiting = await submitted(store, owner="ada", scheduled_for=NOW + timedelta(days=1))
    await blobs.put(f"{waiting.id}/0/upload", pieces())
    buried = await submitted(store, owner="ada", idempotency_key="gone", fingerprint="g", kind="report")
    await start(store, buried.id)
    await succeed(store, buried.id, now=NOW)
    await store.delete(buried.id, check=transitions.refuse_delete, now=NOW)
    await store.issue(Ticket("digest", told.id, "ada", NOW + timedelta(minutes=1)), now=NOW)
    return [*ids, told.id, waiting.id, buried.id]


async def opened(store, work):
    """Do something with a store, and close it."""
    await store.open()
    try:
        return await work(store)
    finally:
        await store.close()


def in_file(file, work):
    return asyncio.run(opened(SqliteStore(file), work))


def in_database(url, work):
    return asyncio.run(opened(PostgresStore(database_at(url)), work))


async def everything(store, ids):
    """Return all that is known of operations: records, logs, deliveries."""
    return {
        each: (
            await store.get(each),
            (await store.events_after({each: 0}, limit=10_000)).get(each),
            await store.deliveries_of(each),
        )
        for each in ids
    }


def test_everything_arrives(file, move, postgres_url, tmp_path):
    """Every status, logs, results, files, keys, tombstones, tickets, webhooks: the stores cannot be told apart."""
    ids = in_file(file, lambda store: fill(store, side_folder(file)))
    result = move("--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"operations": len(ids) - 1, "files": 3, "complete": True}
    assert "of 8 operations" in result.stderr
    before = in_file(file, lambda store: everything(store, ids))

    async def look(store):
        assert await everything(store, ids) == before
        told, waiting, buried = ids[-3:]
        operation = await store.get(told)
        again = changed(operation, id=an_operation().id, status=Status.QUEUED, run=0, version=1, result=None)
        assert isinstance(await store.submit(again), Replayed)
        assert isinstance(await store.submit(changed(again, fingerprint="other")), KeyConflict)
        assert isinstance(await store.submit(changed(again, idempotency_key="gone")), Tombstone)
        assert isinstance(await store.get(buried), Tombstone)
        until = NOW + timedelta(minutes=1)
        assert await store.use("digest", resuming=False, now=NOW, until=until) == (told, "ada")
        blobs = PostgresBlobs(pool=store.pool, schema=store.database.schema, folder=tmp_path / "copies")
        for name in (f"{told}/1/result", f"{told}/0/upload", f"{waiting}/0/upload"):
            assert (await blobs.local_path(name)).read_bytes() == b"".join(BIG)
        await store.adopt_endpoints()
        running = await started(store)
        await succeed(store, running.id)
        assert [each.url for each in await store.deliveries_of(running.id)] == ["https://hooks.example.com/one"]

    in_database(postgres_url, look)


def test_while_somebody_has_the_file_open_only_what_has_finished_is_copied(file, move, postgres_url):
    """Nothing can run in both; what is deleted or delivered meanwhile is so in the copy; a second run ends it."""

    async def work(store):
        await store.set_endpoints([Endpoint("https://hooks.example.com/one")])
        waits = await submitted(store)
        done = [await brought_to(store, Status.SUCCEEDED, retention=timedelta(days=10_000)) for _ in range(3)]
        first = await asyncio.to_thread(move)
        assert first.exit_code == 0, first.stderr
        assert "3 finished operations copied" in first.stdout
        assert "Stop the application" in first.stdout
        await store.delete(done[0].id, check=transitions.refuse_delete, now=NOW)
        later = await brought_to(store, Status.FAILED)
        return [waits.id, *[each.id for each in done], later.id]

    ids = in_file(file, work)
    copied = in_database(postgres_url, lambda store: everything(store, ids))
    assert [copied[each][0] is not None for each in ids] == [False, True, True, True, False]
    second = move("--json")
    assert second.exit_code == 0, second.stderr
    assert json.loads(second.stdout) == {"operations": 2, "files": 0, "complete": True}
    before = in_file(file, lambda store: everything(store, ids))
    assert in_database(postgres_url, lambda store: everything(store, ids)) == before
    assert isinstance(before[ids[1]][0], Tombstone)

    async def waiting(store):
        return await store.list_deliveries(DeliveryQuery(statuses=(DeliveryStatus.PENDING,)))

    assert len(in_database(postgres_url, waiting)) == len(in_file(file, waiting)) == 3
    third = move("--json")
    assert third.exit_code == 0, third.stderr
    assert json.loads(third.stdout) == {"operations": 0, "files": 0, "complete": True}


def test_a_copy_that_was_interrupted_goes_on(file, move, postgres_url, monkeypatch):
    """What was copied stays; nothing half-copied is left."""
    ids = in_file(file, lambda store: filled(store, 1200))
    from raincheck.cli.move_target import Target

    insert, calls = Target.insert_operations, []

    async def failing(self, operations):
        calls.append(len(operations))
        if len(calls) == 2:
            raise OSError("the network is gone")
        await insert(self, operations)

    monkeypatch.setattr(Target, "insert_operations", failing)
    stopped = move()
    assert stopped.exit_code == 1
    assert "the network is gone" in stopped.stderr
    assert "run the command again" in stopped.stderr
    result = move("--json")
    assert json.loads(result.stdout) == {"operations": 700, "files": 0, "complete": True}
    assert len(in_database(postgres_url, lambda store: store.known(ids))) == 1200


async def filled(store, number):
    async def one():
        operation = await started(store)
        return (await succeed(store, operation.id)).id

    return await asyncio.gather(*(one() for _ in range(number)))


def test_a_target_that_is_in_use_is_refused(file, move, postgres_url):
    """Its own operations, or another file's, must not be mixed with these."""
    in_file(file, lambda store: brought_to(store, Status.SUCCEEDED))
    stranger = in_database(postgres_url, submitted)
    refused = move()
    assert refused.exit_code == 1
    assert stranger.id in refused.stderr
    assert "?schema=another" in refused.stderr


def test_a_copy_that_differs_is_found_out(file, move, postgres, postgres_url):
    """The counts at the end are compared, not assumed."""
    in_file(file, lambda store: brought_to(store, Status.SUCCEEDED))
    assert move().exit_code == 0
    postgres.psql(f"UPDATE {database_at(postgres_url).schema}.operations SET version = version + 1")
    found = move()
    assert found.exit_code == 1
    assert "operations succeeded: 1 in the file, 1 copied" in found.stderr


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("sqlite:///missing.db", None, "There is no operation store"),
        (None, "postgresql://nobody_at_all@127.0.0.1:1/x", "cannot be opened"),
        (None, "sqlite:///other.db", "from a SQLite file to PostgreSQL only"),
        ("postgresql://h/d", None, "from a SQLite file to PostgreSQL only"),
        ("memory:", None, "memory"),
    ],
)
def test_what_cannot_be_copied_is_refused_with_the_reason(file, postgres_url, monkeypatch, source, target, reason):
    """One line that says what to do, not a traceback."""
    monkeypatch.setattr("raincheck.stores.postgres.connecting._START_PATIENCE", 0.1)
    in_file(file, submitted)
    result = CliRunner().invoke(app, ["migrate-store", source or f"sqlite:///{file}", target or postgres_url])
    assert result.exit_code in {1, 2}
    assert reason in result.stderr


def test_an_application_moves_while_it_serves(tmp_path, postgres_url):
    """Copied while it serves, stopped, the rest copied, started on PostgreSQL: every operation ends once."""
    scene = Scene(tmp_path)
    try:
        server = scene.start().ready()
        done = [server.submit("async", steps=1, pause=0.01) for _ in range(20)]
        scene.finished(done, by=server)
        going = [server.submit(kind, steps=2, linger=500, pause=0.1) for kind in ("async", "thread", "process")]
        for operation in going:
            scene.begun(operation)
        runner = CliRunner()
        command = ["migrate-store", f"sqlite:///{scene.database}", postgres_url, "--json"]
        first = json.loads(runner.invoke(app, command).stdout)
        assert first == {"operations": 20, "files": 0, "complete": False}
        server.terminate()
        second = runner.invoke(app, command)
        assert json.loads(second.stdout) == {"operations": 3, "files": 0, "complete": True}
        scene.database_url = postgres_url
        again = scene.start().ready()
        scene.finished([*done, *going], by=again)
        scene.judge([*done, *going])
        with contextlib.closing(sqlite3.connect(scene.database)) as former:
            left = former.execute("SELECT count(*) FROM operations WHERE finished_at IS NULL").fetchone()[0]
        assert left == 3, "the file is a backup as it was"
    finally:
        scene.close()
