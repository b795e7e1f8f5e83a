"""``raincheck doctor``: one sentence a check, and what to do where something is wrong."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.text import Text

from raincheck.cli.application_checks import check_application
from raincheck.cli.ending import PROBLEM, UsageError
from raincheck.cli.engine_checks import check_engine
from raincheck.cli.file_checks import check_database, check_place
from raincheck.cli.findings import Finding, Level, ok, refused, warning
from raincheck.cli.loading import load
from raincheck.cli.machine_checks import check_clock, check_versions
from raincheck.cli.postgres_checks import check_postgres
from raincheck.cli.view import store_location
from raincheck.cli.work_checks import PATIENCE, check_work, workers_of_machine
from raincheck.core.errors import StoreError
from raincheck.locations import Memory, PostgresDatabase, SqliteFile
from raincheck.stores.sqlite.inspection import newest_moment, opened_to_look, work
from raincheck.stores.sqlite.store import side_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from raincheck.locations import Location
    from raincheck.raincheck import Raincheck

_SIGNS = {Level.OK: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.PROBLEM: ("✗", "red")}


def examine(target: str | None, url: str | None, *, server: str | None, headers: Sequence[str], as_json: bool) -> None:
    """Run all checks and print each as it ends; exit code 1 when one found a problem.

    :param target: the application, whose store is examined unless a URL names another.
    :param server: a server's URL; then it is asked, and no store is opened.
    :raises UsageError: the target or a URL cannot be used.
    """
    if server is not None:
        if target is not None or url is not None:
            msg = "--url asks a server; name no module and no --store with it."
            raise UsageError(msg)
        from raincheck.cli.server_checks import check_server  # noqa: PLC0415 - needs the client

        _report(check_server(server, headers), as_json=as_json)
        return
    rain = None if target is None else load(target)
    location = rain.settings.location if rain is not None and url is None else store_location(url)
    _report(_findings(rain, location, target), as_json=as_json)


def _report(findings: Iterator[Finding], *, as_json: bool) -> None:
    console = Console()
    levels = set()
    for finding in findings:
        levels.add(finding.level)
        if as_json:
            print(json.dumps(asdict(finding)))
        else:
            _print(console, finding)
    if Level.PROBLEM in levels:
        raise typer.Exit(PROBLEM)


def _findings(rain: Raincheck | None, location: Location, target: str | None) -> Iterator[Finding]:
    now = datetime.now(UTC)
    yield from check_versions()
    if rain is not None and target is not None:
        yield from check_application(rain, target)
        yield check_engine(rain)
    match location:
        case SqliteFile(path):
            yield from _file_findings(rain, path.absolute(), now)
        case PostgresDatabase():
            yield from check_postgres(location, rain)
        case Memory():
            remedy = "Use a file or PostgreSQL where operations matter: RAINCHECK_STORE=sqlite:///raincheck.db."
            yield warning("store", "The store is memory:, which forgets everything when its process ends.", remedy)


def _file_findings(rain: Raincheck | None, path: Path, now: datetime) -> Iterator[Finding]:
    yield from check_place(path)
    if not path.exists():
        remedy = "Start the application, which creates it; or name the right file with --store or RAINCHECK_STORE."
        yield warning("store", f"There is no store at {path} yet, so there is nothing more to check.", remedy)
        return
    newest = None
    try:
        with opened_to_look(path) as connection:
            yield ok("store", f"{path} opens.")
            yield from check_database(connection, path)
            found = work(connection, now, overdue_before=now - PATIENCE)
            yield from check_work(found, workers_of_machine(side_folder(path) / "workers"), rain, now)
            newest = newest_moment(connection)
    except StoreError as error:
        yield refused(error)
    yield from check_clock(path.parent, newest)


def _print(console: Console, finding: Finding) -> None:
    sign, colour = _SIGNS[finding.level]
    console.print(Text.assemble((sign, colour), " ", finding.message), soft_wrap=True)
    if finding.remedy is not None:
        console.print(Text(f"  {finding.remedy}", style="dim"), soft_wrap=True)
