"""The commands of ``raincheck webhooks``."""

# Typer evaluates the annotations of commands.
# ruff: noqa: PLC0415, TC001

from __future__ import annotations

from typing import Annotated

import typer

from raincheck.cli.ending import Commands
from raincheck.cli.options import Json, Store

webhooks = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Look at webhook deliveries, send them again, enable endpoints.",
)
Url = Annotated[str | None, typer.Option("--url", metavar="URL", help="Only this endpoint's.")]


@webhooks.command("ls", epilog="Example: raincheck webhooks ls --status failed")
def list_deliveries(
    *,
    store: Store = None,
    status: Annotated[str | None, typer.Option(metavar="A,B", help="Only these, such as pending,failed.")] = None,
    url: Url = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many at most.")] = 50,
    json: Json = False,
) -> None:
    """List deliveries, newest first, with what their receivers answered last."""
    from raincheck.cli.deliveries import print_deliveries

    print_deliveries(store, statuses=status, url=url, limit=limit, as_json=json)


@webhooks.command(epilog="Example: raincheck webhooks endpoints --json")
def endpoints(*, store: Store = None, json: Json = False) -> None:
    """List the endpoints that failed last, and those that are disabled."""
    from raincheck.cli.deliveries import print_endpoints

    print_endpoints(store, as_json=json)


@webhooks.command(epilog="Example: raincheck webhooks redeliver msg_06H0JMGA9K6KFZ1CSZC3ZZ5ZVCPVX3H7")
def redeliver(
    delivery_id: Annotated[str, typer.Argument(metavar="ID", help="The delivery, as `webhooks ls` shows it.")],
    *,
    store: Store = None,
    json: Json = False,
) -> None:
    """Send a delivery again now, with the same webhook-id."""
    from raincheck.cli.deliveries import send_again

    send_again(delivery_id, store, as_json=json)


@webhooks.command(epilog="Example: raincheck webhooks enable https://hooks.example.com/rain")
def enable(
    url: Annotated[str, typer.Argument(metavar="URL", help="The endpoint, as `webhooks endpoints` shows it.")],
    *,
    store: Store = None,
    json: Json = False,
) -> None:
    """Enable an endpoint that was disabled because it failed for days; what was paused is sent."""
    from raincheck.cli.deliveries import enable_endpoint

    enable_endpoint(url, store, as_json=json)


@webhooks.command("test", epilog="Example: raincheck webhooks test shop:rain")
def send_test(
    target: Annotated[str, typer.Argument(metavar="MODULE:RAIN", help="Where the Raincheck object is.")],
    url: Annotated[str | None, typer.Argument(metavar="[URL]", help="Only this webhook.", show_default=False)] = None,
    *,
    json: Json = False,
) -> None:
    """Send a signed test message to the application's webhooks, once; exit code 1 when one does not take it."""
    from raincheck.cli.deliveries import send_tests

    send_tests(target, url, as_json=json)
