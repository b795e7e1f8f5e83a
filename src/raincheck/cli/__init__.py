"""The command line. Each command imports what it needs when it runs, so that ``raincheck --help`` is quick."""

# Typer evaluates the annotations of commands.
# ruff: noqa: PLC0415, TC001

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from raincheck.cli.ending import Commands
from raincheck.cli.options import Json, Store
from raincheck.cli.webhook_commands import webhooks

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run operations and workers of a Raincheck application, follow them, and look after its operation store.",
    epilog="Exit codes: 0 done; 1 it could not be done, or doctor found a problem; 2 an argument is wrong; 3 an "
    "operation has no result; 130 ended by Ctrl-C.",
)

_OPERATIONS, _CARE, _FIRST = "Operations", "Workers and stores", "First steps"
Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="The server, instead of the store. Default: RAINCHECK_URL.")
]
Headers = Annotated[
    list[str] | None, typer.Option("--header", metavar="'NAME: VALUE'", help="Sent to the server; may be repeated.")
]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="The operations.", show_default=False)]
Id = Annotated[str, typer.Argument(metavar="ID", help="The operation.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the result to this file.")]
AllMatching = Annotated[bool, typer.Option("--all-matching", help="All that match the options below.")]
Owner = Annotated[
    str | None, typer.Option("--owner", metavar="OWNER", help="Only this owner's; '' for those without one.")
]
OfKind = Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only this kind.")]


def main() -> None:
    """Run the command line; a terminal that lacks a character gets a question mark instead of a crash."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app(prog_name="raincheck")


def _versions(asked: bool) -> None:  # noqa: FBT001 - Typer calls it so
    if asked:
        print_version()
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_versions, is_eager=True, help="Show the versions and exit.")
    ] = False,
) -> None:
    """Take what belongs to no command."""


@app.command(rich_help_panel=_FIRST, epilog="Example: raincheck demo --port 9000")
def demo(
    *,
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Where to serve; 0 takes a free port.")
    ] = 8000,
    receiver_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", min=0, max=65535, help="Where the demo's webhooks are received. Default: PORT + 1."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to keep data. Default: DEMO_DATA, else .raincheck-demo."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print where everything is as one JSON object, once it serves; errors too.")
    ] = False,
) -> None:
    """Run an application with five kinds of slow requests and the operator's page, until Ctrl-C."""
    from raincheck.cli.demonstrating import run_demo

    run_demo(port=port, receiver_port=receiver_port, data=data, as_json=json)


@app.command("version", rich_help_panel=_FIRST, epilog="Example: raincheck version --json")
def print_version(*, json: Json = False) -> None:
    """Print the versions that a report of a problem should name."""
    from raincheck.cli.versions import print_versions

    print_versions(as_json=json)


@app.command(
    rich_help_panel=_OPERATIONS, epilog="""Example: raincheck run /reports --data '{"pages": 3}' > report.json"""
)
def run(
    path: Annotated[str, typer.Argument(metavar="PATH", help="The route, such as /reports.")],
    *,
    url: Url = None,
    header: Headers = None,
    method: Annotated[str, typer.Option("--method", "-X", metavar="METHOD", help="The route's method.")] = "POST",
    data: Annotated[
        str | None, typer.Option("--data", "-d", metavar="JSON", help="The body; @FILE, or - for standard input.")
    ] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Of the query; repeatable.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Kept with it; repeatable.")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="KEY", help="Idempotency key; default a new one.")] = None,
    timeout: Annotated[str | None, typer.Option(metavar="5m", help="Limits the whole operation.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Print the id and do not wait.")] = False,
    output: Output = None,
    json: Json = False,
) -> None:
    """Submit an operation, follow it, and print its result; exit code 3 when it has none."""
    from raincheck.cli.following import run_operation

    run_operation(
        path,
        url=url,
        headers=header or (),
        method=method,
        data=data,
        parameters=param or (),
        metadata=metadata or (),
        key=key,
        timeout=timeout,
        detach=detach,
        output=output,
        as_json=json,
    )


@app.command(rich_help_panel=_OPERATIONS, epilog="Example: raincheck watch --url https://shop.example.com")
def watch(ids: Ids = None, *, url: Url = None, header: Headers = None, store: Store = None, json: Json = False) -> None:
    """Show live bars of operations until all are done; without ids of all that are not finished."""
    from raincheck.cli.following import watch_operations

    watch_operations(ids or (), url=url, headers=header or (), store=store, as_json=json)


@app.command(rich_help_panel=_OPERATIONS, epilog="Example: raincheck logs -f op_06H0JMGA9K6KFZ1CSZC3ZZ5ZVCPVX3H7")
def logs(
    operation_id: Id,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the operation is done.")] = False,
    url: Url = None,
    header: Headers = None,
    store: Store = None,
    json: Json = False,
) -> None:
    """Print what an operation has logged and emitted; with --json all of its events."""
    from raincheck.cli.following import print_log

    print_log(operation_id, follow=follow, url=url, headers=header or (), store=store, as_json=json)


@app.command(
    rich_help_panel=_OPERATIONS, epilog="Example: raincheck result op_06H0JMGA9K6KFZ1CSZC3ZZ5ZVCPVX3H7 -o report.pdf"
)
def result(
    operation_id: Id,
    *,
    url: Url = None,
    header: Headers = None,
    store: Store = None,
    output: Output = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the result, or why there is none, as one JSON object; errors too.")
    ] = False,
) -> None:
    """Write the result of an operation as it is; through a server wait for it. Exit code 3 when there is none."""
    from raincheck.cli.results import print_result

    print_result(operation_id, url=url, headers=header or (), store=store, output=output, as_json=json)


@app.command(
    "ls", rich_help_panel=_OPERATIONS, epilog="Example: raincheck ls --status queued,running --kind build_report"
)
def list_operations(
    *,
    url: Url = None,
    header: Headers = None,
    store: Store = None,
    status: Annotated[str | None, typer.Option(metavar="A,B", help="Only these, such as queued,failed.")] = None,
    kind: OfKind = None,
    owner: Owner = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many at most.")] = 50,
    json: Json = False,
) -> None:
    """List operations, newest first."""
    from raincheck.cli.listing import print_operations

    print_operations(
        store,
        server=url,
        headers=header or (),
        statuses=status,
        kind=kind,
        owner=owner,
        limit=limit,
        as_json=json,
    )


@app.command(rich_help_panel=_OPERATIONS, epilog="Example: raincheck show op_06H0JMGA9K6KFZ1CSZC3ZZ5ZVCPVX3H7 --events")
def show(
    operation_id: Id,
    *,
    url: Url = None,
    header: Headers = None,
    store: Store = None,
    events: Annotated[bool, typer.Option("--events", help="Print the event log too.")] = False,
    json: Json = False,
) -> None:
    """Show one operation with its result and its error; from the store with the traceback too."""
    from raincheck.cli.showing import print_operation

    print_operation(operation_id, store, server=url, headers=header or (), with_events=events, as_json=json)


@app.command(
    rich_help_panel=_OPERATIONS, epilog="Example: raincheck cancel --all-matching --status queued --kind build_report"
)
def cancel(
    ids: Ids = None,
    *,
    all_matching: AllMatching = False,
    status: Annotated[str | None, typer.Option(metavar="A,B", help="Only queued, running, cancelling.")] = None,
    kind: OfKind = None,
    owner: Owner = None,
    url: Url = None,
    header: Headers = None,
    store: Store = None,
    json: Json = False,
) -> None:
    """Cancel operations: what waits at once, what runs as soon as it stops."""
    from raincheck.cli.changing import Choice, Place, cancel_operations

    choice = Choice(ids=ids or (), all_matching=all_matching, statuses=status, kind=kind, owner=owner)
    cancel_operations(choice, Place(url=url, headers=header or (), store=store), as_json=json)


@app.command(rich_help_panel=_OPERATIONS, epilog="Example: raincheck retry --all-matching --kind build_report")
def retry(
    ids: Ids = None,
    *,
    all_matching: AllMatching = False,
    status: Annotated[str | None, typer.Option(metavar="A,B", help="failed (the default), cancelled.")] = None,
    kind: OfKind = None,
    owner: Owner = None,
    url: Url = None,
    header: Headers = None,
    store: Store = None,
    json: Json = False,
) -> None:
    """Submit failed or cancelled operations again, each as a new operation."""
    from raincheck.cli.changing import Choice, Place, retry_operations

    choice = Choice(ids=ids or (), all_matching=all_matching, statuses=status, kind=kind, owner=owner)
    retry_operations(choice, Place(url=url, headers=header or (), store=store), as_json=json)


@app.command(
    rich_help_panel=_CARE, epilog="Example: raincheck worker shop:rain --queues reports --concurrency process=4"
)
def worker(
    target: Annotated[str, typer.Argument(metavar="MODULE:RAIN", help="Where the Raincheck object is.")],
    *,
    queues: Annotated[
        str | None, typer.Option(metavar="A,B", help="Queues to work on. Default: RAINCHECK_QUEUES, else all.")
    ] = None,
    executors: Annotated[
        str | None, typer.Option(metavar="A,B", help="Executors that work here: async, thread, process. Default: all.")
    ] = None,
    concurrency: Annotated[
        str | None,
        typer.Option(metavar="N|A=N,B=M", help="Operations at once, for every executor here or for each."),
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="Serve /health/live, /health/ready and /metrics here."),
    ] = None,
    health_host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen for that; 0.0.0.0 for probes of other machines.")
    ] = "127.0.0.1",
    json: Annotated[bool, typer.Option("--json", help="Log to stdout as JSON, one object a line; errors too.")] = False,
) -> None:
    """Run the operations of an application without serving HTTP, until SIGTERM or Ctrl-C."""
    from raincheck.cli.worker import run_worker

    run_worker(
        target,
        queues=queues,
        executors=executors,
        concurrency=concurrency,
        health_host=health_host,
        health_port=health_port,
        as_json=json,
    )


@app.command(rich_help_panel=_CARE, epilog="Example: raincheck doctor shop:rain")
def doctor(
    target: Annotated[
        str | None, typer.Argument(metavar="[MODULE:RAIN]", help="Check the application too.", show_default=False)
    ] = None,
    *,
    url: Annotated[str | None, typer.Option("--url", metavar="URL", help="Ask this server instead.")] = None,
    header: Headers = None,
    store: Store = None,
    json: Json = False,
) -> None:
    """Check the machine, the store, the workers and what waits, or a server; exit code 1 when something is wrong."""
    from raincheck.cli.doctor import examine

    examine(target, store, server=url, headers=header or (), as_json=json)


@app.command(rich_help_panel=_CARE, epilog="Example: raincheck prune --store sqlite:////srv/shop/raincheck.db")
def prune(*, store: Store = None, json: Json = False) -> None:
    """Remove what has passed its retention now, as a server does once a minute."""
    from raincheck.cli.keeping import prune_store

    prune_store(store, as_json=json)


@app.command(rich_help_panel=_CARE, epilog="Example: raincheck migrate --store postgresql://owner@db/shop")
def migrate(*, store: Store = None, json: Json = False) -> None:
    """Make the store's tables or bring them to this release, as a starting server does where its role may."""
    from raincheck.cli.keeping import migrate_store

    migrate_store(store, as_json=json)


@app.command(
    "migrate-store",
    rich_help_panel=_CARE,
    epilog="Example: raincheck migrate-store sqlite:///raincheck.db postgresql://user@host/database",
)
def migrate_store_command(
    source: Annotated[str, typer.Argument(metavar="FROM", help="sqlite:///path")],
    target: Annotated[str, typer.Argument(metavar="TO", help="postgresql://user@host/database[?schema=name]")],
    *,
    json: Json = False,
) -> None:
    """Copy a SQLite store to PostgreSQL: while the application serves, and the rest once it has stopped."""
    from raincheck.cli.moving import move_store

    move_store(source, target, as_json=json)


app.add_typer(webhooks, name="webhooks", rich_help_panel=_CARE)
