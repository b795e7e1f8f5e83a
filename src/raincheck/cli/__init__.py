"""The command line. Each command imports what it needs when it runs, so that ``raincheck --help`` is quick."""

# Typer evaluates the annotations of commands.
# ruff: noqa: PLC0415, TC001

from __future__ import annotations

import sys
from typing import Annotated

import typer

from raincheck.cli.ending import Commands
from raincheck.cli.options import Json, Store
from raincheck.cli.webhook_commands import webhooks

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run the workers of a Raincheck application, and look into its operation store.",
)
app.add_typer(webhooks, name="webhooks")


def main() -> None:
    """Run the command line; a terminal that lacks a character gets a question mark instead of a crash."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app(prog_name="raincheck")


@app.command()
def worker(
    target: Annotated[str, typer.Argument(metavar="MODULE:RAIN", help="Where the Raincheck object is.")],
    *,
    queues: Annotated[
        str | None, typer.Option(metavar="A,B", help="Queues to work on. Default: RAINCHECK_QUEUES, else all.")
    ] = None,
) -> None:
    """Run the operations of an application without serving HTTP, until SIGTERM or Ctrl-C."""
    from raincheck.cli.worker import run_worker

    run_worker(target, queues=queues)


@app.command("ls")
def list_operations(
    *,
    store: Store = None,
    status: Annotated[str | None, typer.Option(metavar="A,B", help="Only these, such as queued,failed.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only this owner's; '' for those without one.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    json: Json = False,
) -> None:
    """List operations, newest first."""
    from raincheck.cli.listing import print_operations

    print_operations(store, statuses=status, kind=kind, owner=owner, limit=limit, as_json=json)


@app.command()
def show(
    operation_id: Annotated[str, typer.Argument(metavar="ID", help="The operation.")],
    *,
    store: Store = None,
    events: Annotated[bool, typer.Option("--events", help="Print the event log too.")] = False,
    json: Json = False,
) -> None:
    """Show one operation with its result, its error and the traceback."""
    from raincheck.cli.showing import print_operation

    print_operation(operation_id, store, with_events=events, as_json=json)


@app.command()
def doctor(
    target: Annotated[
        str | None, typer.Argument(metavar="[MODULE:RAIN]", help="Check the application too.", show_default=False)
    ] = None,
    *,
    store: Store = None,
    json: Json = False,
) -> None:
    """Check the machine, the store, the workers and what waits; exit code 1 when something is wrong."""
    from raincheck.cli.doctor import examine

    examine(target, store, as_json=json)


@app.command()
def migrate(*, store: Store = None) -> None:
    """Make the store's tables, or bring them to this release; for databases whose serving role may not."""
    from raincheck.cli.migrating import migrate_store

    migrate_store(store)
