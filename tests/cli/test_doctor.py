"""``raincheck doctor`` finds what keeps operations from running, and says what to do."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from raincheck.stores.sqlite import opening
from raincheck.stores.sqlite.liveness import FileLiveness
from raincheck.testing.conformance.specimens import WORKER, start, submitted

NUMBERS = itertools.count()
MINUTE = timedelta(minutes=1)
APP = """
from fastapi import Depends, FastAPI
from raincheck import Raincheck
app = FastAPI()
rain = Raincheck(app)
def guard() -> None: ...
@rain.post("/report")
async def report() -> int: ...
"""


@pytest.fixture
def now():
    """Return the time of this machine, which the doctor compares records with."""
    return datetime.now(UTC)


@pytest.fixture
def examine(raincheck):
    """Return a function that runs the doctor and gives the exit code and the findings by check."""

    def run(*arguments):
        result = raincheck("doctor", "--json", *arguments)
        findings = {}
        for line in result.stdout.splitlines():
            finding = json.loads(line)
            findings.setdefault(finding["check"], []).append(finding)
        return result.exit_code, findings

    return run


@pytest.fixture
def application(tmp_path, monkeypatch):
    """Return a function that writes an application into the current folder and returns its target."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(more=""):
        name = f"doctored_{next(NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(APP + more)
        return f"{name}:rain"

    return write


@pytest.fixture
def worker(path):
    """Hold the lock of a live worker, in the private folder that the store makes."""
    folder = path.with_name("raincheck.db.d")
    folder.mkdir(mode=0o700)
    liveness = FileLiveness(folder / "workers")
    liveness.enter(WORKER)
    yield WORKER
    liveness.leave()


def level(findings, check):
    """Return the level of the only finding of a check."""
    (finding,) = findings[check]
    return finding["level"]


def text(findings, check):
    """Return the sentence and remedy of the only finding of a check."""
    (finding,) = findings[check]
    return f"{finding['message']} {finding['remedy']}"


def empty(store):
    """Leave the store as it is."""
    return asyncio.sleep(0)


def test_a_healthy_store_with_a_worker_has_only_good_findings(examine, fill, worker):
    """Every check says ok, and the exit code is 0."""
    fill(empty)
    code, findings = examine()
    assert code == 0
    assert [each for found in findings.values() for each in found if each["level"] != "ok"] == []
    assert set(findings) == {
        *("versions", "folder", "file-system", "space", "store", "schema", "rights", "journal", "log", "content"),
        *("workers", "leases", "queue", "deadlines", "clock"),
    }


def test_without_json_each_finding_has_a_sign_and_its_remedy(raincheck, fill):
    """A sign and a sentence; below it what to do, where something is to be done."""
    fill(empty)
    result = raincheck("doctor")
    assert result.exit_code == 0
    assert "✓ SQLite finds no damage in the file.\n" in result.stdout
    assert "! No worker process is running on this machine.\n  Start one" in result.stdout


def test_a_missing_store_is_told_and_not_made(examine, path):
    """Nothing is wrong before the first start, and the doctor does not do what only a server does."""
    code, findings = examine()
    assert (code, level(findings, "store")) == (0, "warning")
    assert "There is no store at" in text(findings, "store")
    assert list(path.parent.iterdir()) == []


def test_a_missing_folder_is_a_problem(examine, path):
    """No server could create its store there."""
    code, findings = examine("--store", f"sqlite:///{path.parent}/nowhere/x.db")
    assert (code, level(findings, "folder")) == (1, "problem")


def test_a_damaged_file_is_a_problem(examine, fill, path):
    """Content that SQLite cannot make sense of is found, and the remedy names the backup."""
    fill(empty)
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 3] = os.urandom(4096 * 2)
    path.write_bytes(content)
    code, findings = examine()
    assert code == 1
    damaged = [each for check in ("content", "store") for each in findings.get(check, ()) if each["level"] == "problem"]
    assert damaged
    assert "backup" in damaged[0]["remedy"]


def test_a_file_that_others_can_read_gets_a_command_to_close_it(examine, fill, path):
    """Requests and tracebacks are in it; it is a warning, as some teams mean it."""
    fill(empty)
    path.chmod(0o644)
    code, findings = examine()
    assert (code, level(findings, "rights")) == (0, "warning")
    assert f"chmod go-rwx {path}" in text(findings, "rights")


def test_a_network_file_system_is_a_problem(examine, fill, path, tmp_path, monkeypatch):
    """SQLite's locks are not safe there."""
    fill(empty)
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "30 1 0:1 / / rw - ext4 /dev/sda rw\n31 30 0:2 / " + str(path.parent) + " rw - nfs4 server:/ rw\n"
    )
    monkeypatch.setattr(opening, "MOUNTS", mounts)
    code, findings = examine()
    assert (code, level(findings, "file-system")) == (1, "problem")
    assert "nfs4" in text(findings, "file-system")


@pytest.mark.parametrize(
    ("free", "reserve", "expected"),
    [(1 << 20, False, "problem"), (1 << 20, True, "warning"), (100 << 20, True, "warning"), (10 << 30, True, "ok")],
)
def test_little_space_is_judged_with_the_reserve(examine, fill, path, monkeypatch, free, reserve, expected):
    """A full disk is a problem once the reserve is used up; little space is a warning."""
    fill(empty)
    if not reserve:
        (path.with_name("raincheck.db.d") / "reserve").unlink()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    code, findings = examine()
    assert (code, level(findings, "space")) == (1 if expected == "problem" else 0, expected)


def test_a_converted_file_is_a_warning(examine, fill, path):
    """Another program has switched the journal mode; the next start of the application switches it back."""
    fill(empty)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    code, findings = examine()
    assert (code, level(findings, "journal")) == (0, "warning")


def test_a_large_log_is_a_warning(examine, fill, path):
    """A reader that never ends keeps SQLite from reusing its log."""

    async def work(store):
        with path.with_name("raincheck.db-wal").open("r+b") as log:
            log.truncate(100 << 20)
        return examine()

    code, findings = fill(work)
    assert (code, level(findings, "log")) == (0, "warning")
    assert "100.0 MiB" in text(findings, "log")


# --- clock ------------------------------------------------------------------------------------------------------


def test_a_record_from_the_future_is_a_problem(examine, fill, now, worker):
    """The clock went back; what was queued then waits."""
    fill(lambda store: submitted(store, created=now + 60 * MINUTE))
    code, findings = examine()
    assert (code, level(findings, "clock")) == (1, "problem")
    assert "ahead of this machine's clock" in text(findings, "clock")


# --- workers and what they hold ---------------------------------------------------------------------------------


def test_work_that_nobody_does_is_a_problem(examine, fill, now):
    """Due operations without a live worker: the number, the age of the oldest, and the command to start one."""

    async def work(store):
        await submitted(store, created=now - 5 * MINUTE)
        await submitted(store, created=now)

    fill(work)
    code, findings = examine()
    assert (code, level(findings, "queue"), level(findings, "workers")) == (1, "problem", "warning")
    assert "2 operations due, the oldest for 5m" in text(findings, "queue")
    assert "raincheck worker" in text(findings, "queue")


def test_work_that_waits_beside_live_workers_is_a_warning(examine, fill, now, worker):
    """The slots may be taken; a moment's wait is nothing to speak of."""
    fill(lambda store: submitted(store, created=now - 5 * MINUTE))
    code, findings = examine()
    assert (code, level(findings, "queue")) == (0, "warning")


def test_work_for_later_does_not_count_as_waiting(examine, fill, now, worker):
    """A scheduled operation is named with its time, and is no warning."""
    later = now + 60 * MINUTE
    fill(lambda store: submitted(store, created=now, run_at=later, scheduled_for=later))
    code, findings = examine()
    assert (code, level(findings, "queue"), level(findings, "scheduled")) == (0, "ok", "ok")
    assert "1 queued operation" in text(findings, "scheduled")


@pytest.mark.parametrize(("alive", "expected"), [(False, (1, "problem")), (True, (0, "warning"))])
def test_leases_of_a_dead_worker_depend_on_who_is_left(examine, fill, path, now, alive, expected):
    """With a live worker they are taken over in a moment, without one nobody does it."""

    async def work(store):
        operation = await submitted(store, created=now)
        await start(store, operation.id, worker="gone", now=now, lease_until=now + MINUTE)

    fill(work)
    workers = path.with_name("raincheck.db.d") / "workers"
    workers.mkdir()
    (workers / "gone.lock").touch()  # nobody holds its lock
    liveness = FileLiveness(workers)
    if alive:
        liveness.enter(WORKER)
    code, findings = examine()
    liveness.leave()
    assert (code, level(findings, "leases")) == expected
    assert "1 operation held by gone, which is dead" in text(findings, "leases")


@pytest.mark.parametrize(("left", "expected"), [(MINUTE, (0, "ok")), (-MINUTE, (1, "problem"))])
def test_a_lease_that_ran_out_long_ago_is_a_problem(examine, fill, now, worker, left, expected):
    """A valid lease is fine; one that nobody ended is not, though its worker seems to live."""

    async def work(store):
        operation = await submitted(store, created=now - 5 * MINUTE)
        await start(store, operation.id, worker=worker, now=now - 2 * MINUTE, lease_until=now + left)

    fill(work)
    code, findings = examine()
    assert (code, level(findings, "leases")) == expected


def test_a_passed_deadline_is_a_problem(examine, fill, now, worker):
    """A live worker would have ended it within a second."""
    fill(lambda store: submitted(store, created=now - 5 * MINUTE, deadline_at=now - MINUTE))
    code, findings = examine()
    assert (code, level(findings, "deadlines")) == (1, "problem")
    assert "1 unfinished operation past the deadline, the first for 1m" in text(findings, "deadlines")


# --- the application --------------------------------------------------------------------------------------------


def test_an_application_without_faults_has_good_findings(examine, fill, worker, application):
    """Its kinds are named."""
    fill(empty)
    code, findings = examine(application())
    assert (code, level(findings, "guards")) == (0, "ok")
    assert "1 kind: report" in text(findings, "application")
    assert "The engine is embedded" in text(findings, "engine")


def test_an_engine_that_cannot_be_reached_is_a_problem(examine, fill, worker, application, monkeypatch):
    """With what it was that refused, and what goes on meanwhile."""
    fill(empty)
    monkeypatch.setenv("RAINCHECK_ENGINE", "taskiq")
    monkeypatch.setenv("RAINCHECK_BROKER", "redis://127.0.0.1:1/0")
    code, findings = examine(application())
    assert (code, level(findings, "engine")) == (1, "problem")
    assert "The engine taskiq cannot be used: ConnectionError" in text(findings, "engine")


def test_a_kind_that_the_application_lost_is_a_problem(examine, fill, now, worker, application):
    """Its operations wait for ever; the others are judged as usual."""

    async def work(store):
        await submitted(store, created=now, kind="renamed_since")
        await submitted(store, created=now, kind="report")

    fill(work)
    code, findings = examine(application())
    assert code == 1
    lost, known = sorted(findings["queue"], key=lambda each: each["level"], reverse=True)
    assert (lost["level"], known["level"]) == ("problem", "ok")
    assert "'renamed_since'" in lost["message"]
    assert 'kind="' in lost["remedy"]


def test_a_queue_that_is_left_out_is_a_warning(examine, fill, now, worker, application, monkeypatch):
    """Other workers may serve it, so it is no problem yet; the command to serve it is named."""
    monkeypatch.setenv("RAINCHECK_QUEUES", "default,night")
    fill(lambda store: submitted(store, created=now, queue="slow"))
    code, findings = examine(application())
    assert (code, level(findings, "queue")) == (0, "warning")
    assert "--queues slow" in text(findings, "queue")


def test_a_guarded_submit_with_open_operation_routes_is_a_warning(examine, path, application):
    """The guard of a submit route guards nothing else."""
    guarded = '\n@rain.post("/secret", dependencies=[Depends(guard)])\ndef secret() -> int: ...\n'
    _, findings = examine(application(guarded))
    assert level(findings, "guards") == "warning"
    assert "secret (/secret)" in text(findings, "guards")


def test_web_processes_without_workers_are_told_to_need_one(examine, path, application, monkeypatch):
    """The command that runs the work is named."""
    monkeypatch.setenv("RAINCHECK_WORKERS", "false")
    target = application()
    _, findings = examine(target)
    assert f"raincheck worker {target}" in findings["application"][1]["remedy"]


@pytest.mark.parametrize(("defined", "expected"), [("True", "ok"), ("'pytest' in sys.modules", "problem")])
def test_process_functions_are_imported_in_a_fresh_process(examine, path, application, defined, expected):
    """A function that only this process has would fail at each worker's start."""
    heavy = f"\nimport sys\nif {defined}:\n"
    heavy += '    @rain.post("/heavy", executor="process")\n    def heavy() -> int: ...\n'
    code, findings = examine(application(heavy))
    assert (code, level(findings, "process-kinds")) == (0 if expected == "ok" else 1, expected)
    assert "heavy" in text(findings, "process-kinds")


def test_an_unknown_application_is_a_usage_error(raincheck, path):
    """Exit code 2 and no findings."""
    result = raincheck("doctor", "no_such_module:rain")
    assert (result.exit_code, result.stdout) == (2, "")
