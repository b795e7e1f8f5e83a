"""The commands that work on a PostgreSQL store without a server."""

from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from raincheck.cli import app
from raincheck.core import transitions
from raincheck.core.endpoints import Endpoint
from raincheck.core.events import LogLine
from raincheck.core.operation import Status, StoredResult
from raincheck.stores.postgres import PostgresStore
from raincheck.stores.postgres.blobs import PostgresBlobs
from raincheck.stores.postgres.opening import newest_schema
from raincheck.testing.conformance.specimens import NOW, brought_to, record_of, start, submitted, succeed
from tests.postgres.conftest import database_at

PIECES = [b"a" * 700_000, b"b" * 700_000]
URL = "https://hooks.example.com/one"


@pytest.fixture
def raincheck(postgres_url, monkeypatch):
    """Return a function that runs the command line in this process, on the store of the test."""
    monkeypatch.setenv("RAINCHECK_STORE", postgres_url)
    monkeypatch.delenv("RAINCHECK_URL", raising=False)
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def fill(postgres_url):
    """Return a function that runs a coroutine function on the opened store, and closes the store again."""

    async def opened(work):
        store = PostgresStore(database_at(postgres_url))
        await store.open()
        try:
            return await work(store)
        finally:
            await store.close()

    return lambda work: asyncio.run(opened(work))


def test_cancel_tells_the_webhooks_that_the_application_named(raincheck, fill):
    """The command knows no configuration; the endpoints are kept with the data."""

    async def work(store):
        await store.set_endpoints([Endpoint(URL)])
        return await submitted(store)

    operation = fill(work)
    result = raincheck("cancel", operation.id)
    assert (result.exit_code, result.stdout.split()) == (0, [operation.id, "cancelled"])
    [delivery] = fill(lambda store: store.deliveries_of(operation.id))
    assert (delivery.url, delivery.event) == (URL, "operation.cancelled")


def test_retry_of_all_failed_makes_new_operations(raincheck, fill):
    """Each names what it runs again; what succeeded is left alone."""

    async def work(store):
        await brought_to(store, Status.SUCCEEDED)
        return await brought_to(store, Status.FAILED)

    failed = fill(work)
    result = raincheck("retry", "--all-matching", "--json")
    [again] = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.exit_code, again["rerun_of"]) == (0, failed.id)
    assert fill(lambda store: record_of(store, again["id"])).status is Status.QUEUED


def test_result_of_many_pieces_is_written_whole(raincheck, fill, tmp_path):
    """To a file or to a pipe; when its rows are gone, the caller's file stays as it was."""

    async def pieces():
        for piece in PIECES:
            yield piece

    async def work(store):
        operation = await submitted(store)
        await start(store, operation.id)
        name = f"{operation.id}/1/result"
        await PostgresBlobs(pool=store.pool, schema=store.database.schema, folder=tmp_path / "copies").put(
            name, pieces()
        )
        result = StoredResult(media_type="text/plain", blob=name, size=1_400_000)
        await store.change(operation.id, lambda found: transitions.succeed(found, run=1, result=result, now=NOW))
        return operation

    async def remove(store):
        blobs = PostgresBlobs(pool=store.pool, schema=store.database.schema, folder=tmp_path / "copies")
        await blobs.remove_operations([operation.id])

    operation = fill(work)
    target = tmp_path / "result"
    assert raincheck("result", operation.id, "--output", target).exit_code == 0
    assert target.read_bytes() == b"".join(PIECES)
    assert raincheck("result", operation.id).stdout_bytes == b"".join(PIECES)
    assert f"kept in the database: {operation.id}/1/result" in raincheck("show", operation.id).stdout
    fill(remove)
    refused = raincheck("result", operation.id, "--output", target)
    assert refused.exit_code != 0
    assert "The rows of the result are missing" in refused.stderr
    assert target.read_bytes() == b"".join(PIECES)


def test_logs_and_watch_read_to_the_end(raincheck, fill):
    """As they do from a file."""

    async def work(store):
        operation = await submitted(store)
        await start(store, operation.id)
        entry = LogLine("half way")
        await store.change(operation.id, lambda found: transitions.record(found, run=1, entries=[entry], now=NOW))
        await succeed(store, operation.id)
        return operation

    operation = fill(work)
    assert "half way" in raincheck("logs", operation.id, "--follow").stdout
    [state] = [json.loads(line) for line in raincheck("watch", operation.id, "--json").stdout.splitlines()]
    assert (state["id"], state["status"]) == (operation.id, "succeeded")


def test_prune_removes_what_has_passed_its_retention(raincheck, fill):
    """Specimens finished long ago."""
    operation = fill(lambda store: brought_to(store, Status.SUCCEEDED))
    pruned = json.loads(raincheck("prune", "--json").stdout)
    assert pruned["operations"] == 1
    assert raincheck("show", operation.id).exit_code != 0


def test_commands_that_change_make_no_store(raincheck):
    """Only ``migrate`` does, and says from which schema it came."""
    refused = raincheck("prune")
    assert refused.exit_code != 0
    assert "There is no operation store in schema" in refused.stderr
    told = json.loads(raincheck("migrate", "--json").stdout)
    newest = newest_schema()
    assert (told["before"], told["after"]) == (0, newest)
    assert f"has schema {newest} already" in raincheck("migrate").stdout
    assert raincheck("prune").exit_code == 0
