"""The commands that work on the store file without a server."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from raincheck.core import transitions
from raincheck.core.events import LogLine, Output
from raincheck.core.operation import Operation, Status, StoredResult
from raincheck.stores.blobs import LocalBlobs
from raincheck.stores.sqlite.store import side_folder
from raincheck.testing.conformance.specimens import NOW, brought_to, record_of, start, started, submitted, succeed

NOBODY = "op_" + "0" * 32


@pytest.fixture(autouse=True)
def _no_server(monkeypatch):
    """No server is named."""
    monkeypatch.delenv("RAINCHECK_URL", raising=False)


@pytest.fixture
def each_status(fill):
    """One operation of each status."""

    async def work(store):
        return {status: (await brought_to(store, status, owner="ada")).id for status in Status}

    return fill(work)


def status_of(fill, operation_id):
    """Return the status in the store."""
    return fill(lambda store: record_of(store, operation_id)).status


def test_cancel_changes_what_is_not_finished(raincheck, each_status, fill):
    """What waits is cancelled, what runs is asked; what is done is refused and makes it exit code 1."""
    result = raincheck("cancel", *each_status.values())
    assert result.exit_code == 1
    told = dict(line.split() for line in result.stdout.splitlines())
    assert told == {
        each_status[Status.QUEUED]: "cancelled",
        each_status[Status.RUNNING]: "cancelling",
        each_status[Status.CANCELLING]: "cancelling",
        each_status[Status.CANCELLED]: "cancelled",
    }
    assert len(result.stderr.splitlines()) == 2
    assert status_of(fill, each_status[Status.RUNNING]) is Status.CANCELLING
    assert status_of(fill, each_status[Status.SUCCEEDED]) is Status.SUCCEEDED


def test_retry_of_all_failed_makes_new_operations(raincheck, each_status, fill):
    """Only failed ones by default; each gets the same request, owner and limits, and names what it runs again."""
    result = raincheck("retry", "--all-matching", "--json")
    assert result.exit_code == 0
    (again,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert again["rerun_of"] == each_status[Status.FAILED]
    former = fill(lambda store: record_of(store, each_status[Status.FAILED]))
    new = fill(lambda store: record_of(store, again["id"]))
    same = ("kind", "owner", "input", "metadata", "queue", "priority", "max_attempts", "max_losses", "retention")
    assert [getattr(new, name) for name in same] == [getattr(former, name) for name in same]
    assert (new.status, new.run, new.attempt) == (Status.QUEUED, 0, 0)
    assert raincheck("retry", each_status[Status.CANCELLED]).exit_code == 0
    refused = raincheck("retry", each_status[Status.SUCCEEDED], NOBODY)
    assert refused.exit_code == 1
    assert len(refused.stderr.splitlines()) == 2


def test_retry_takes_uploaded_files_along(raincheck, path, fill):
    """The new operation has the files of the old one's request, also when that one is deleted."""

    async def work(store):
        operation = await brought_to(store, Status.FAILED)

        async def chunks():
            yield b"content"

        await LocalBlobs(side_folder(path) / "blobs").put(f"{operation.id}/0/upload", chunks())
        return operation.id

    failed = fill(work)
    again = json.loads(raincheck("retry", failed, "--json").stdout)["id"]
    blobs = LocalBlobs(side_folder(path) / "blobs")
    assert asyncio.run(blobs.local_path(f"{again}/0/upload")).read_bytes() == b"content"


@pytest.mark.parametrize("options", [["--kind", "report"], ["--owner", "ada"], ["--status", "queued"]])
def test_options_choose_what_is_cancelled(raincheck, each_status, fill, options):
    """Each leaves what it does not name."""
    other = fill(lambda store: started(store, kind="scan", owner="bob")).id
    assert raincheck("cancel", "--all-matching", *options).exit_code == 0
    assert status_of(fill, each_status[Status.QUEUED]) is Status.CANCELLED
    assert status_of(fill, other) is Status.RUNNING


def test_logs_are_lines_and_output(raincheck, fill):
    """In order, with levels; text of others cannot steer the terminal; as JSON all events."""

    async def work(store):
        operation = await submitted(store)
        await start(store, operation.id)
        entries = [LogLine("begun \x1b[2J", level="warning"), Output('"text"'), Output('{"n": 1}')]
        await store.change(operation.id, lambda found: transitions.record(found, run=1, entries=entries, now=NOW))
        return operation.id

    operation = fill(work)
    assert raincheck("logs", operation).stdout.splitlines() == [
        "WARNING  begun \N{REPLACEMENT CHARACTER}[2J",
        "text",
        '{"n": 1}',
    ]
    fill(lambda store: succeed(store, operation))
    types = [json.loads(line)["type"] for line in raincheck("logs", "-f", operation, "--json").stdout.splitlines()]
    assert types == ["status", "status", "log", "output", "output", "done"]


def test_watch_sees_changes_that_others_make(raincheck, fill):
    """While a server has the file open, each newer state comes until all are done."""

    async def work(store):
        first = await started(store)
        second = await brought_to(store, Status.SUCCEEDED)
        watching = asyncio.create_task(asyncio.to_thread(raincheck, "watch", first.id, second.id, "--json"))
        await store.change(first.id, lambda found: transitions.request_cancel(found, now=NOW))
        await store.change(first.id, lambda found: transitions.release(found, run=1, now=NOW))
        return first.id, await watching

    first, result = fill(work)
    assert result.exit_code == 3
    states = [json.loads(line) for line in result.stdout.splitlines()]
    assert [state["status"] for state in states if state["id"] == first][-1] == "cancelled"
    assert [state["status"] for state in states if state["id"] != first] == ["succeeded"]


def test_watch_with_nothing_under_way_says_so(raincheck, fill):
    """Without ids it takes what is not finished, here nothing."""
    fill(lambda store: brought_to(store, Status.SUCCEEDED))
    result = raincheck("watch")
    assert (result.exit_code, result.stdout) == (0, "No operation is under way.\n")


@pytest.mark.parametrize("kept_as", ["body", "file"])
def test_a_result_is_written_as_it_is(raincheck, path, fill, tmp_path, kept_as):
    """The same bytes to a pipe and to a file, whether the store keeps them in the record or as a file."""

    async def work(store):
        operation = await started(store)
        content = StoredResult(media_type="application/octet-stream", body=b"\x00\xff", size=2, etag="e")
        if kept_as == "file":

            async def chunks():
                yield b"\x00\xff"

            name = f"{operation.id}/1/result"
            await LocalBlobs(side_folder(path) / "blobs").put(name, chunks())
            content = replace(content, body=None, blob=name)
        await store.change(operation.id, lambda found: transitions.succeed(found, run=1, result=content, now=NOW))
        return operation.id

    operation = fill(work)
    assert raincheck("result", operation).stdout_bytes == b"\x00\xff"
    assert raincheck("result", operation, "-o", tmp_path / "out").stdout == ""
    assert (tmp_path / "out").read_bytes() == b"\x00\xff"


@pytest.mark.parametrize("status", [Status.RUNNING, Status.FAILED, Status.CANCELLED])
def test_no_result_is_exit_code_3(raincheck, each_status, status):
    """The reason is one line on stderr."""
    result = raincheck("result", each_status[status])
    assert (result.exit_code, result.stdout) == (3, "")
    assert len(result.stderr.splitlines()) == 1


def test_prune_removes_what_has_expired(raincheck, fill):
    """What is past its retention goes, and nothing else."""

    async def work(store):
        old = await brought_to(store, Status.SUCCEEDED, created=NOW, retention=timedelta(days=1))
        kept = await submitted(store, created=datetime.now(UTC))
        return old.id, kept.id

    old, kept = fill(work)
    assert json.loads(raincheck("prune", "--json").stdout) == {"operations": 1, "left_over_files": 0}
    assert raincheck("prune").stdout == "Removed 0 operations and the left-over files of 0 submits.\n"
    assert raincheck("show", old).exit_code == 1
    assert isinstance(fill(lambda store: record_of(store, kept)), Operation)


def test_migrate_makes_the_schema_and_then_changes_nothing(raincheck, path):
    """A missing file is created, as by a starting server; a second time says so."""
    first = json.loads(raincheck("migrate", "--json").stdout)
    assert (first["store"], first["before"]) == (str(path), 0)
    assert first["after"] > 0
    assert raincheck("ls").exit_code == 0
    assert "already" in raincheck("migrate").stdout


@pytest.mark.parametrize("arguments", [["prune"], ["cancel", NOBODY], ["retry", NOBODY], ["result", NOBODY]])
def test_a_missing_store_stays_missing(raincheck, path, arguments):
    """A wrong path must not become an empty store that hides the mistake."""
    result = raincheck(*arguments)
    assert result.exit_code == 1
    assert str(path) in result.stderr
    assert list(path.parent.iterdir()) == []


def test_the_shell_completes_commands(monkeypatch, capsys):
    """What ``--install-completion`` sets up asks the program, and it answers."""
    from raincheck.cli import main

    monkeypatch.setenv("_RAINCHECK_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "raincheck ca")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().out.split()) == (0, ["cancel"])
