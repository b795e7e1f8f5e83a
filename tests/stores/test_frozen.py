"""A store of every released schema is opened by this release: all that is in it is read, and the work goes on.

With today's schema beside the frozen ones, so that what a release is about to freeze is known to come back.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from raincheck.cli import app as command_line
from raincheck.core.operation import Operation
from raincheck.settings import Settings
from raincheck.storage import open_storage
from raincheck.stores.postgres import opening as postgres_opening
from raincheck.stores.sqlite import opening as sqlite_opening
from tests.chaos.driver import until
from tests.stores import freeze
from tests.stores.frozen_content import (
    COPY,
    FINISHED,
    HOOKS,
    HOUR,
    NOW,
    OWNER,
    PRINTED,
    PROBLEM,
    QUEUED_AGAIN,
    TERMS,
    TICKETS,
    TRACES,
    UNFINISHED,
    at,
    served,
)

FROZEN = sorted(path.name for path in freeze.FOLDER.iterdir() if path.is_dir())
CALLS = tuple(f"calls-{name}" for name in HOOKS)
GIVEN = {"sheets": 6, "title": "päges on a4", "tone": "plain", "team": "team of ada"}


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory, postgres: Any) -> Callable[[str], Path]:
    """Provide what would be frozen today; each kind of store is filled once."""
    folder = tmp_path_factory.mktemp("today")

    def frozen(kind: str) -> Path:
        newest = {"sqlite": sqlite_opening, "postgres": postgres_opening}[kind].newest_schema()
        made = folder / f"{kind}-{newest:04}"
        if not made.exists():
            made.mkdir()
            if kind == "sqlite":
                freeze.freeze_sqlite(folder / "fresh.db", made)
            else:
                freeze.freeze_postgres(f"{postgres.url()}?schema=frozen_today", made)
        return made

    return frozen


@pytest.fixture(params=[*FROZEN, "sqlite-today", "postgres-today"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Provide the URL of a thawed store."""
    kind, _, number = request.param.partition("-")
    frozen = request.getfixturevalue("today")(kind) if number == "today" else freeze.FOLDER / request.param
    if kind == "sqlite":
        path = tmp_path / "operations.db"
        freeze.thaw_sqlite(frozen, path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("postgres_url")
    freeze.thaw_postgres(frozen, url)
    return url


@pytest.fixture(autouse=True)
def _an_hour_later() -> Iterator[None]:
    """Let an hour have passed since the store was frozen, and time go on from there."""
    began = time.monotonic()

    def clock() -> datetime:
        return NOW + HOUR + timedelta(seconds=time.monotonic() - began)

    with at(clock):
        yield


def named(client: TestClient) -> dict[str, dict[str, Any]]:
    """Return the operations of the list by the names that they got."""
    return by_name(client.get("/operations", params={"page_size": 100}).json()["items"])


def by_name(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return operations by the names that were their keys; one that runs another again has its metadata too."""
    return {"rerun" if each["rerun_of"] else each["metadata"]["was"]: each for each in found}


def log_of(client: TestClient, operation_id: str) -> list[tuple[int, str]]:
    """Return the versions and types of an operation's events; what is not finished ends with a newer version."""
    text = client.get(f"/operations/{operation_id}/events", params={"after": 0}).text
    fields = [dict(line.split(": ", 1) for line in frame.splitlines() if ": " in line) for frame in text.split("\n\n")]
    return [(int(each["id"]), each["event"]) for each in fields if "id" in each]


def test_all_of_a_frozen_store_is_read_through_the_api(store: str) -> None:
    """Every status, result, problem, log, delivery, key and tombstone; a ticket lets in."""
    with served(store) as client:
        found = named(client)
        assert set(found) == {*UNFINISHED, *FINISHED, *CALLS, "rerun"}
        statuses = {name: each["status"] for name, each in found.items()}
        assert {name: status for name, status in statuses.items() if name == status} == {
            status: status for status in ("queued", "running", "cancelling", "succeeded", "failed", "cancelled")
        }
        ids = {name: each["id"] for name, each in found.items()}
        for name in FINISHED:
            log = log_of(client, ids[name])
            assert [version for version, _ in log] == list(range(1, found[name]["version"] + 1)), name
            assert log[-1][1] == "done"
        told = [kind for _, kind in log_of(client, ids["succeeded"])]
        assert told == ["status", "status", "output", "log", "output", "progress", "done"]
        _read_results(client, ids)
        _read_what_is_beside(client, ids, found)


def _read_results(client: TestClient, ids: dict[str, str]) -> None:
    def result(name: str) -> Any:
        return client.get(f"/operations/{ids[name]}/result")

    assert (result("succeeded").json(), result("succeeded").headers["x-pages"]) == (PRINTED, "6")
    assert (result("copied").content, result("copied").headers["content-type"][:10]) == (COPY, "text/plain")
    part = client.get(f"/operations/{ids['copied']}/result", headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, COPY[2:6])
    failed = result("failed")
    assert (failed.status_code, failed.json()["title"], failed.json()["tray"]) == (409, PROBLEM.title, 2)
    http = result("failed-http")
    assert (http.status_code, http.json(), http.headers["x-tray"]) == (409, {"detail": {"tray": 2}}, "2")
    assert result("timed-out").status_code == 504
    assert result("cancelled").status_code == 409
    assert result("running").json()["type"].endswith("result-not-ready")


def _read_what_is_beside(client: TestClient, ids: dict[str, str], found: dict[str, Any]) -> None:
    assert found["rerun"]["rerun_of"] == ids["failed"]
    assert found["running"]["progress"]["message"] == "half"
    assert found["scheduled"]["scheduled_for"] == "2026-02-01T12:00:00.000Z"
    for name, status in {
        "pending": "pending",
        "sending": "sending",
        "paused": "paused",
        "delivered": "delivered",
    }.items():
        [delivery] = client.get(f"/operations/{ids[f'calls-{name}']}/deliveries").json()["items"]
        assert (delivery["status"], delivery["url"]) == (status, HOOKS[name])
    order = {"json": {"pages": 3, "title": "päges"}}
    again = client.post("/reports/a4?copies=2", headers={"Idempotency-Key": "queued"}, **order)
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (ids["queued"], "true")
    assert client.post("/reports/a5", headers={"Idempotency-Key": "queued"}, **order).status_code == 422
    for name in ("deleted", "expired"):
        gone = client.post("/reports/a4?copies=2", headers={"Idempotency-Key": name}, **order)
        assert (gone.status_code, gone.json()["type"]) == (410, f"urn:raincheck:problem:operation-{name}")
    events = f"/operations/{ids['running']}/events"
    assert client.get(events, params={"ticket": TICKETS["used"]}, headers={"X-User": ""}).status_code == 401


def test_all_of_a_frozen_store_is_read_by_the_command_line(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its migration, which a command does not make by the way."""
    monkeypatch.setenv("RAINCHECK_STORE", store)
    monkeypatch.delenv("RAINCHECK_URL", raising=False)

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(command_line, arguments)
        assert result.exit_code == code, result.output
        return result.stdout

    run("migrate")
    listed = [json.loads(line) for line in run("ls", "--json", "--limit", "100", "--owner", OWNER).splitlines()]
    ids = {name: each["id"] for name, each in by_name(listed).items()}
    assert set(ids) == {*UNFINISHED, *FINISHED, *CALLS, "rerun"}
    for name, operation_id in ids.items():
        assert operation_id in run("show", operation_id), name
    assert json.loads(run("result", ids["succeeded"])) == PRINTED
    assert run("result", ids["copied"]).encode() == COPY
    assert "half-wäy" in run("logs", ids["succeeded"])
    assert HOOKS["given-up"] in run("webhooks", "ls", "--json")


@pytest.mark.anyio
async def test_an_engine_hears_of_what_a_frozen_store_has_queued(store: str, request: pytest.FixtureRequest) -> None:
    """Of what was queued under one at its moment, of the rest once that is adopted; traces go on where they were."""
    now = NOW + HOUR + TERMS.patience
    async with contextlib.AsyncExitStack() as stack:
        storage = await open_storage(Settings(store=store).location, stack)
        storage.store.set_terms(TERMS)

        async def told() -> dict[str, Operation]:
            found = await storage.store.take_overdue(["report", "refused", "upload"], now=now)
            return {"rerun" if each.rerun_of else str(each.idempotency_key): each for each in found}

        at_once = await told()
        assert await storage.store.adopt(now=now) > 0
        adopted = await told()
        assert {*at_once, *adopted} == {*UNFINISHED, "rerun"} - {"running", "cancelling"}
        if request.node.callspec.params["store"].endswith("-0001"):  # which knew neither engines nor traces
            assert (at_once, {each.trace for each in adopted.values()}) == ({}, {None})
        else:
            assert set(at_once) == set(QUEUED_AGAIN)
            found = at_once | adopted
            assert {name: each.trace for name, each in found.items() if each.trace} == TRACES


def test_the_work_of_a_frozen_store_goes_on(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was queued, lost, failed or held ends with the answer to its request; logs go on, and no end changes."""
    monkeypatch.setenv("RAINCHECK_LEASE", "1s")  # the leases ran out, but a reaper that has just come waits for one
    with served(store) as client:
        before = named(client)
    with served(store, workers=True) as client:
        ids = {name: each["id"] for name, each in before.items()}

        def done() -> dict[str, Any] | None:
            now = named(client)
            return now if [name for name, each in now.items() if not each["done"]] == ["scheduled"] else None

        after: Any = until(done, what="the end of all work but the scheduled")
        for name in FINISHED:
            assert after[name] == before[name], name
        reports = [*CALLS, "queued", "retrying", "lost", "running", "limited"]
        for name in reports:
            assert client.get(f"/operations/{ids[name]}/result").json() == GIVEN, name
        assert client.get(f"/operations/{ids['uploaded']}/result").content == b"a copy: the whole text"
        assert (after["cancelling"]["status"], after["rerun"]["status"]) == ("cancelled", "failed")
        assert (after["running"]["attempt"], after["lost"]["attempt"], after["retrying"]["attempt"]) == (1, 1, 2)
        for name in (*reports, "uploaded", "cancelling", "rerun"):
            versions = [version for version, _ in log_of(client, ids[name])]
            assert versions == list(range(1, after[name]["version"] + 1)), name
            assert after[name]["version"] > before[name]["version"]
        ticket = client.post(f"/operations/{ids['running']}/tickets").json()["ticket"]
        assert ticket.startswith("rct_")


def test_every_migration_that_is_frozen_is_as_it_was() -> None:
    """Databases out there have run it: an edit would reach new databases only."""
    now = freeze.hashes()
    changed = [name for name, hashed in freeze.frozen_hashes().items() if now.get(name) != hashed]
    assert not changed, (
        f"{', '.join(changed)}: a frozen migration was edited, renamed or removed, but databases out there have run it "
        "as it was. Restore it, and put the change into a new migration with the next number beside it."
    )


def test_every_schema_but_the_newest_is_frozen() -> None:
    """The newest may change until it is released; older ones are out there."""
    frozen = set(FROZEN)
    released = []
    for kind in ("sqlite", "postgres"):
        numbers = sorted(int(Path(name).name[:4]) for name in freeze.hashes() if name.startswith(kind))
        assert numbers == list(range(1, len(numbers) + 1)), "migrations are numbered without holes"
        released += [f"{kind}-{number:04}" for number in numbers[:-1]]
    missing = sorted(set(released) - frozen)
    assert not missing, f"{missing}: run `python -m tests.stores.freeze` on the release that had this schema."


def test_what_is_frozen_does_not_depend_on_the_run(tmp_path: Path) -> None:
    """So a difference between two frozen files is one of the code."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        freeze.freeze_sqlite(tmp_path / f"{name}.db", tmp_path / name)
    one, two = ((tmp_path / name / "database.sql").read_text() for name in ("one", "two"))
    assert one == two
