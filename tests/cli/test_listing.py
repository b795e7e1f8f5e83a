"""``raincheck ls`` shows what is in the store and touches nothing."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta

import pytest

from raincheck.cli import listing
from raincheck.core import transitions
from raincheck.core.operation import Progress, Status
from raincheck.core.wire import Links, resource
from raincheck.testing.conformance.specimens import NOW, an_operation, brought_to, start, submitted, succeed


def ids(result):
    """Return the ids of a plain list, in its order."""
    return [line.split()[0] for line in result.stdout.splitlines()[1:]]


@pytest.fixture
def three(fill):
    """Return three operations, oldest first: two queued ones of different owners, and a failed one."""

    async def work(store):
        return [
            await submitted(store, created=NOW - timedelta(seconds=30), owner="ada"),
            await submitted(store, created=NOW - timedelta(seconds=20), owner="bob", kind="scan"),
            await brought_to(store, Status.FAILED, created=NOW - timedelta(seconds=10), owner="ada"),
        ]

    return fill(work)


def test_the_list_is_newest_first_with_full_ids(raincheck, three):
    """Without a terminal the output is plain text with nothing cut off, and all owners are in it."""
    result = raincheck("ls")
    assert result.exit_code == 0
    assert ids(result) == [each.id for each in reversed(three)]
    assert "ada" in result.stdout
    assert "bob" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--status", "failed"], [2]),
        (["--status", "queued, failed"], [2, 1, 0]),
        (["--kind", "scan"], [1]),
        (["--owner", "ada"], [2, 0]),
        (["--owner", ""], []),
        (["--limit", "2"], [2, 1]),
    ],
)
def test_options_choose(raincheck, three, options, wanted):
    """Each option leaves what it names, in the same order."""
    assert ids(raincheck("ls", *options)) == [three[index].id for index in wanted]


def test_a_long_list_comes_in_pages_without_a_gap(raincheck, three, monkeypatch):
    """Pages smaller than the list give the same list, also when the limit ends inside a page."""
    monkeypatch.setattr(listing, "_PAGE", 2)
    assert ids(raincheck("ls")) == [each.id for each in reversed(three)]
    assert ids(raincheck("ls", "--limit", "1")) == [three[2].id]


def test_json_is_the_resource_that_clients_see(raincheck, three):
    """One line an operation, each the wire resource as lists carry it: without the result."""
    lines = raincheck("ls", "--json").stdout.splitlines()
    expected = [resource(each, links=Links("/operations"), with_result=False) for each in reversed(three)]
    assert [json.loads(line) for line in lines] == [json.loads(each) for each in expected]


def test_progress_is_one_readable_cell_while_it_runs(raincheck, fill):
    """The share, the count with its unit and the message stand side by side; what has ended shows none."""
    operation = an_operation()

    def told(**progress):
        def record(found):
            return transitions.record(found, run=1, progress=Progress(fraction=0.5, **progress), now=NOW)

        return record

    async def work(store):
        await store.submit(operation)
        await start(store, operation.id)
        await store.change(operation.id, told(current=2, total=4, unit="pages", message="rendering"))

    fill(work)
    assert "50% 2/4 pages rendering" in raincheck("ls").stdout
    fill(lambda store: store.change(operation.id, told(current=25_000_000, total=50_000_000, unit="rows")))
    assert "50% 25000000/50000000 rows" in raincheck("ls").stdout
    fill(lambda store: succeed(store, operation.id))
    assert "50%" not in raincheck("ls").stdout


def test_text_of_others_cannot_steer_the_terminal(raincheck, fill):
    """An escape sequence in an owner's name is shown as a replacement character."""

    async def work(store):
        await store.submit(an_operation(owner="eve\x1b[2J"))

    fill(work)
    result = raincheck("ls")
    assert "eve\N{REPLACEMENT CHARACTER}[2J" in result.stdout
    assert "\x1b" not in result.stdout


def test_a_terminal_gets_the_same_rows_in_colour(raincheck, three, monkeypatch):
    """The table for eyes keeps whole ids even where it is narrow."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "90")
    result = raincheck("ls")
    assert "\x1b[31mfailed" in result.stdout
    assert all(each.id in result.stdout for each in three)
    assert len(result.stdout.splitlines()) == 4


# --- the file ---------------------------------------------------------------------------------------------------


def test_a_missing_store_is_an_error_and_stays_missing(raincheck, path):
    """A wrong path must not become an empty store that hides the mistake."""
    result = raincheck("ls")
    assert result.exit_code == 1
    assert str(path) in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(path.parent.iterdir()) == []


def test_listing_leaves_no_file_behind(raincheck, three, path):
    """SQLite's log and index, which would belong to the operator, are not made beside a store that nobody has open."""
    before = sorted(path.parent.iterdir())
    assert raincheck("ls").exit_code == 0
    assert sorted(path.parent.iterdir()) == before


def test_listing_works_while_a_server_has_the_file_open(raincheck, fill):
    """What was committed a moment ago by a process that goes on is listed."""

    async def work(store):
        operation = await submitted(store)
        return operation.id, raincheck("ls")

    operation_id, result = fill(work)
    assert ids(result) == [operation_id]


def test_the_store_option_outranks_the_environment(raincheck, three, path, tmp_path):
    """``--store`` names another file for one command."""
    moved = tmp_path / "other name?.db"
    path.rename(moved)
    assert raincheck("ls").exit_code == 1
    assert len(ids(raincheck("ls", "--store", f"sqlite:///{moved}"))) == 3


@pytest.mark.parametrize("arguments", [["--status", "lost"], ["--store", "memory:"], ["--store", "nothing"]])
def test_a_wrong_argument_is_a_usage_error(raincheck, three, arguments):
    """Exit code 2, one line on stderr, nothing on stdout."""
    result = raincheck("ls", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1


def foreign(path):
    """Write a database of another program."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()


def newer(path):
    """Write what a later release may leave."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE operations (id TEXT)")
        connection.execute("PRAGMA application_id = 0x5241494E")
        connection.execute("PRAGMA user_version = 9999")
    connection.close()


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (foreign, "database of another program"),
        (newer, "has schema 9999"),
        (lambda path: path.write_bytes(b"not a database" * 100), "cannot be read as an operation store"),
        (lambda path: path.touch(), "has schema 0"),
    ],
)
def test_what_is_no_store_of_this_release_is_refused(raincheck, path, write, reason):
    """One line says what the file is; it is left as it was."""
    write(path)
    content = path.read_bytes()
    result = raincheck("ls")
    assert result.exit_code == 1
    assert reason in result.stderr
    assert path.read_bytes() == content
