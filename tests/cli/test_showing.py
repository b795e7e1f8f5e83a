"""``raincheck show`` tells all that is known of one operation."""

from __future__ import annotations

import asyncio
import json

import pytest

from raincheck.core import transitions
from raincheck.core.events import LogLine, Output
from raincheck.core.operation import Problem, Status, StoredResult
from raincheck.stores.blobs import LocalBlobs
from raincheck.testing.conformance.specimens import NOW, SECOND, brought_to, start, submitted


@pytest.fixture
def failed(fill):
    """Return an operation that failed with a traceback, after output and a log line."""

    async def work(store):
        operation = await submitted(store, created=NOW, owner="ada", metadata={"tenant": "north"})
        await start(store, operation.id, now=NOW)
        entries = [Output('"one"'), LogLine("hello")]
        await store.change(operation.id, lambda found: transitions.record(found, run=1, entries=entries, now=NOW))
        problem = Problem(code="unhandled-error", title="It broke")
        return await store.change(
            operation.id,
            lambda found: transitions.fail(found, run=1, error=problem, traceback="ValueError: \x1b[31mno", now=NOW),
        )

    return fill(work)


def test_the_operator_sees_owner_error_and_traceback(raincheck, failed):
    """What no client sees is there, and the traceback's control characters are not."""
    result = raincheck("show", failed.id)
    assert result.exit_code == 0
    for text in (failed.id, "failed", "ada", "tenant=north", "unhandled-error", "It broke"):
        assert text in result.stdout
    assert "ValueError: \N{REPLACEMENT CHARACTER}[31mno" in result.stdout


def test_the_event_log_is_shown_on_request(raincheck, failed):
    """``--events`` adds every version, in order."""
    assert "hello" not in raincheck("show", failed.id).stdout
    lines = raincheck("show", failed.id, "--events").stdout.splitlines()[-5:]
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5"]
    assert '{"chunk": "one"}' in lines[2]
    assert "done" in lines[4]


def test_json_is_the_resource_with_the_operators_part(raincheck, failed):
    """First the wire resource with what only operators see under ``operator``, then one event a line."""
    first, *events = [
        json.loads(line) for line in raincheck("show", failed.id, "--events", "--json").stdout.splitlines()
    ]
    assert first["status"] == "failed"
    assert first["error"]["title"] == "It broke"
    assert first["operator"]["owner"] == "ada"
    assert first["operator"]["traceback"].startswith("ValueError")
    assert [each["version"] for each in events] == [1, 2, 3, 4, 5]
    assert events[3] == {**events[3], "type": "log", "level": "info", "message": "hello"}


def test_a_long_event_log_comes_whole(raincheck, fill, monkeypatch):
    """Pages smaller than the log neither lose nor repeat a version."""
    monkeypatch.setattr("raincheck.cli.showing._PAGE", 3)

    async def work(store):
        operation = await submitted(store)
        await start(store, operation.id)
        entries = [Output(str(number)) for number in range(10)]
        return await store.change(
            operation.id, lambda found: transitions.record(found, run=1, entries=entries, now=NOW)
        )

    operation = fill(work)
    lines = raincheck("show", operation.id, "--events", "--json").stdout.splitlines()[1:]
    assert [json.loads(line)["version"] for line in lines] == list(range(1, 13))


def test_a_small_result_is_shown_as_text(raincheck, fill):
    """The bytes that a client would get stand below the fields."""
    operation = fill(lambda store: brought_to(store, Status.SUCCEEDED))
    assert '{"pages": 3}' in raincheck("show", operation.id).stdout


def test_a_large_result_is_named_by_its_file(raincheck, fill, path, tmp_path):
    """The path can be opened; a file that is gone is reported as missing."""

    async def work(store):
        operation = await submitted(store)
        await start(store, operation.id)
        name = f"{operation.id}/1/result"
        staged = tmp_path / "staged"
        staged.write_bytes(b"x" * 5000)
        await LocalBlobs(path.with_name("raincheck.db.d") / "blobs").adopt(name, staged)
        result = StoredResult(media_type="text/plain", blob=name, size=5000)
        await store.change(operation.id, lambda found: transitions.succeed(found, run=1, result=result, now=NOW))
        return operation

    operation = fill(work)
    shown = raincheck("show", operation.id).stdout
    file = path.with_name("raincheck.db.d") / "blobs" / operation.id / "1" / "result"
    assert f"200 text/plain, 4.9 KiB\n{file}" in shown
    assert file.read_bytes() == b"x" * 5000
    assert json.loads(raincheck("show", operation.id, "--json").stdout)["operator"]["result_file"] == str(file)
    file.unlink()
    assert "the file is missing" in raincheck("show", operation.id).stdout


def test_a_waiting_operation_tells_its_place(raincheck, fill):
    """Two queued before it: position 2."""

    async def work(store):
        return [await submitted(store, created=NOW + number * SECOND) for number in range(3)]

    last = fill(work)[-1]
    assert json.loads(raincheck("show", last.id, "--json").stdout)["queue_position"] == 2


def test_an_unknown_id_is_an_error(raincheck, fill, path):
    """Exit code 1 and a line that names the store that was searched."""
    fill(lambda store: asyncio.sleep(0))
    result = raincheck("show", "op_nothing")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "op_nothing" in result.stderr
    assert str(path) in result.stderr


def test_a_deleted_operation_is_told_apart_from_an_unknown_one(raincheck, fill):
    """While its tombstone lasts the message says that it was deleted."""

    async def work(store):
        operation = await brought_to(store, Status.SUCCEEDED)
        await store.delete(operation.id, check=transitions.refuse_delete, now=NOW)
        return operation

    result = raincheck("show", fill(work).id)
    assert result.exit_code == 1
    assert "was deleted" in result.stderr
