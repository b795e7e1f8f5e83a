"""Start the demo in the foreground: its data, the receiver of its webhooks, then the application itself."""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TextIO

import uvicorn

from raincheck import ConfigurationError
from raincheck.demo import folders, neighbour, terminal
from raincheck.demo.make_orders import ROWS, write_orders

GUIDE = """
  Raincheck demo     {url}
  Operator's page    {url}/dashboard
  API documentation  {url}/docs

  In another terminal:

    URL={url}
    JSON='Content-Type: application/json'
    submit() {{ curl -s "$@" | grep -o 'op_[0-9A-Z]*' | head -1; }}

    # async: ask a slow third party for twelve cities (the answer is 202, with the status URL in Location)
    curl -si $URL/forecasts -H "$JSON" -d '{{}}'

    # background: import {rows:,} orders, and poll
    OP=$(submit $URL/imports -F file=@{csv})
    curl -s $URL/operations/$OP
    curl -s "$URL/operations/$OP?wait=10"                     # held until it is done, ten seconds at most
    curl -s $URL/operations/$OP/result

    # webhooks: another application hears of each end; this waits until it has, and shows what it verified
    curl -s "$URL/arrived?operation=$OP"

    # live: a tale word by word, as events on this very response
    curl -sN $URL/tales -H "$JSON" -d '{{}}' -H 'Accept: text/event-stream'

    # processes: a PDF from what was imported, and a large picture
    OP=$(submit $URL/reports -H "$JSON" -d '{{"title": "A year of rain"}}')
    curl -s -o report.pdf $URL/operations/$OP/result -H 'Prefer: wait=60'
    curl -s -o fractal.png $URL/fractals -H 'Prefer: wait=60' -H "$JSON" -d '{{}}'   # or wait for the answer itself

    # cancel what takes too long
    OP=$(submit $URL/fractals -H "$JSON" -d '{{"iterations": 20000}}')
    curl -s -X POST $URL/operations/$OP/cancel

  The data is in {data}. Ctrl-C ends the demo. Start it again and unfinished work continues.
"""


def launch(*, port: int, receiver_port: int | None, as_json: bool = False) -> int:
    """Serve on 127.0.0.1 until interrupted, and return the exit status.

    :param receiver_port: where webhooks are received; None: the port after ``port``.
    :param as_json: print where everything is, as one JSON object once it serves, and nothing else on stdout.
    :raises ConfigurationError: a port or the folder cannot be used.
    """
    following = port + 1 if port else 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with terminal.foreground():
        try:
            return _listen(port, following if receiver_port is None else receiver_port, as_json=as_json)
        except KeyboardInterrupt:
            return 0


def _listen(port: int, receiver_port: int, *, as_json: bool) -> int:
    with ExitStack() as opened:
        try:
            listener = opened.enter_context(socket.create_server(("127.0.0.1", port), backlog=2048))
        except OSError as error:
            raise _taken(port, error, _command(port + 2)) from error
        try:
            receiver = opened.enter_context(neighbour.listening(receiver_port))
        except OSError as error:
            raise _taken(receiver_port, error, _command(port, receiver_port + 1)) from error
        try:
            folders.make_folders()
        except OSError as error:
            remedy = f"name another one: {_command(port, data='/tmp/raincheck-demo')}"  # noqa: S108 - the user's choice
            msg = f"{folders.DATA} cannot be written ({error.strerror}); {remedy}"
            raise ConfigurationError(msg) from error
        return _serve(listener, receiver, as_json=as_json)


def _serve(listener: socket.socket, receiver: socket.socket, *, as_json: bool) -> int:
    said = sys.stderr if as_json else sys.stdout
    if not folders.ORDERS_CSV.exists():
        write_orders(folders.ORDERS_CSV, progress=partial(_show_rows, said))
    os.environ["RAINCHECK_PUBLIC_URL"] = neighbour.url_of(listener)
    os.environ["DEMO_RECEIVER_URL"] = neighbour.url_of(receiver)
    print("Loading the application", file=said, flush=True)
    with neighbour.started("raincheck.demo.receiver", receiver):
        from raincheck.demo.app import app  # noqa: PLC0415 - after the messages that explain the wait

        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5)
        server = Server(config, show_places if as_json else show_guide)
        server.run(sockets=[listener])
    return 0 if server.started else 1


def _taken(port: int, error: OSError, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"Port {port} cannot be used ({os.strerror(error.errno or 0)}). Try: {remedy}")


def _command(port: int, receiver_port: int | None = None, data: str | None = None) -> str:
    """Return what to type: the command that was typed, with other places."""
    options = [] if receiver_port is None else [f"--receiver-port {receiver_port}"]
    options += [] if data is None else [f"--data {data}"]
    if terminal.under_make():
        return f"make demo PORT={port}" + (f' ARGS="{" ".join(options)}"' if options else "")
    return " ".join(["raincheck demo", f"--port {port}", *options])


class Server(uvicorn.Server):
    """Tells how to use the demo once it serves."""

    def __init__(self, config: uvicorn.Config, show: Callable[[str], None]) -> None:
        super().__init__(config)
        self._show = show

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print what there is to know."""
        await super().startup(sockets)
        if self.started and sockets:
            self._show(neighbour.url_of(sockets[0]))


def show_guide(url: str) -> None:
    """Print what to do with the demo, in lines to paste."""
    csv, data = (_shown(path) for path in (folders.ORDERS_CSV, folders.DATA))
    print(GUIDE.format(url=url, csv=csv, data=data, rows=ROWS), flush=True)


def show_places(url: str) -> None:
    """Print where everything is, for programs."""
    places = {
        "url": url,
        "dashboard": f"{url}/dashboard",
        "docs": f"{url}/docs",
        "receiver": os.environ["DEMO_RECEIVER_URL"],
        "data": str(folders.DATA),
        "orders": str(folders.ORDERS_CSV),
        "pid": os.getpid(),
    }
    print(json.dumps(places), flush=True)


def _shown(path: Path) -> str:
    """Return a path as one would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _show_rows(said: TextIO, done: int, rows: int) -> None:
    if said.isatty() or done == rows:
        text = f"\rMaking orders.csv: {done:,} of {rows:,} rows"
        print(text, end="\n" if done == rows else "", file=said, flush=True)
