"""A database file of every released schema is opened by this release: all operations are there and go on."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from raincheck.core import transitions
from raincheck.core.errors import StoreUnavailable
from raincheck.core.events import EventType
from raincheck.core.operation import Operation, Status
from raincheck.ports import Claim, KeyConflict, Tombstone
from raincheck.stores.sqlite import SqliteStore
from raincheck.stores.sqlite.opening import newest_schema, schema_version
from raincheck.testing.conformance.specimens import DAY, NOW, RESULT, SECOND, a_claim, an_operation, succeed
from tests.stores.freeze import FOLDER, dumped, fill, thawed

pytestmark = pytest.mark.anyio
FROZEN = sorted(FOLDER.glob("*.sql"))


@pytest.fixture(params=["today", *FROZEN], ids=lambda given: getattr(given, "stem", given))
async def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Provide a file of a released schema, or one that today's code wrote and a dump carried over."""
    made = tmp_path / "operations.db"
    frozen = request.param
    if frozen == "today":
        await fill(tmp_path / "fresh.db")
        frozen = tmp_path / "today.sql"
        frozen.write_text(dumped(tmp_path / "fresh.db"), encoding="utf-8")
    thawed(frozen, made)
    return made


@contextlib.asynccontextmanager
async def opened(path: Path):
    """Open a store and close it again."""
    store = SqliteStore(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def ids_of(path: Path) -> dict[str, str]:
    """Return the operations of a file by their kinds."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT kind, id FROM operations UNION ALL SELECT kind, id FROM tombstones"))


async def test_every_operation_of_an_older_release_is_read_whole(path: Path) -> None:
    """Status, result, error and metadata are as they were, and every log is complete."""
    ids = ids_of(path)
    async with opened(path) as store:
        for status in Status:
            found = await store.get(ids[f"is-{status}"])
            assert isinstance(found, Operation)
            assert (found.status, found.owner, found.metadata["was"]) == (status, "ada", status)
            assert found.result == (RESULT if status is Status.SUCCEEDED else None)
            assert (found.error is not None) == (status is Status.FAILED)
        logs = await store.events_after(dict.fromkeys(ids.values(), 0))
        for operation, events in logs.values():
            assert [event.version for event in events] == list(range(1, operation.version + 1)), operation.kind
        told = [event.type for event in logs[ids["told"]][1]]
        middle = [EventType.OUTPUT, EventType.LOG, EventType.OUTPUT, EventType.PROGRESS]
        assert told == [EventType.STATUS, EventType.STATUS, *middle, EventType.DONE]
        gone = await store.get(ids["gone"])
        assert isinstance(gone, Tombstone)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert schema_version(connection) == newest_schema()


async def test_what_an_older_release_left_undone_goes_on(path: Path) -> None:
    """Queued, lost and failed-once work is claimed and ends; what is scheduled waits; keys keep their operations."""
    ids = ids_of(path)
    async with opened(path) as store:
        kinds = ("is-queued", "retried", "lost", "keyed", "later")
        claimed = await store.claim(a_claim(kinds=kinds, now=NOW + 120 * SECOND))
        assert {each.kind for each in claimed} == {"is-queued", "retried", "lost", "keyed"}
        for each in claimed:
            done = await succeed(store, each.id, run=each.run, now=NOW + 121 * SECOND)
            assert done.status is Status.SUCCEEDED
        running = ids["is-running"]
        overdue = await store.overdue(NOW + DAY)
        assert running in {lease.id for lease in overdue.expired_leases}
        lost = await store.change(running, lambda found: transitions.lose(found, run=1, now=NOW + DAY))
        assert lost.status is Status.QUEUED
        again = an_operation(kind="keyed", idempotency_key="key", fingerprint="another")
        assert isinstance(await store.submit(again), KeyConflict)
        buried = an_operation(kind="gone", idempotency_key="gone", fingerprint="print")
        assert isinstance(await store.submit(buried), Tombstone)


@pytest.mark.parametrize("claim", [None, a_claim()], ids=["accepted", "begun"])
async def test_a_process_that_a_newer_release_overtook_writes_nothing_more(tmp_path: Path, claim: Claim | None) -> None:
    """A rolling update on one file: the old process refuses clearly, goes on reading, and harms no newer row."""
    path = tmp_path / "operations.db"
    async with opened(path) as store:
        before = an_operation()
        await store.submit(before)
        with contextlib.closing(sqlite3.connect(path)) as newer:
            newer.execute(f"PRAGMA user_version = {newest_schema() + 1}")
        with pytest.raises(StoreUnavailable, match=r"newer release.*Restart"):
            await store.submit(an_operation(), claim=claim)
        with pytest.raises(StoreUnavailable, match="newer release"):
            await store.change(before.id, lambda found: transitions.request_cancel(found, now=NOW))
        found = await store.get(before.id)
        assert isinstance(found, Operation)
        assert found.status is Status.QUEUED
    assert set(ids_of(path).values()) == {before.id}


def test_each_schema_but_the_newest_has_a_frozen_file() -> None:
    """The newest may change until it is released; older ones are out there."""
    frozen = {int(file.stem.removeprefix("schema-")) for file in FROZEN}
    assert frozen >= set(range(1, newest_schema()))
