"""Start the demo: ``python -m examples.demo [--port 8000]``, or ``make demo``. Ctrl-C ends it."""

import argparse
import os
import signal
import socket
import sys
from contextlib import ExitStack
from types import FrameType

import uvicorn

from examples.demo import folders, neighbour, terminal
from examples.demo.make_orders import ROWS, write_orders

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

  Ctrl-C ends the demo. Start it again and unfinished work continues.
"""


def main() -> int:
    """Make the data, serve in the foreground, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="Start Raincheck's demo.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--receiver-port", type=int, help="where webhooks are received; the port after --port")
    options = parser.parse_args()
    following = options.port + 1 if options.port else 0
    receiver_port = following if options.receiver_port is None else options.receiver_port
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with terminal.foreground():
        try:
            return run(options.port, receiver_port)
        except KeyboardInterrupt:
            return 0


def run(port: int, receiver_port: int) -> int:
    """Serve on 127.0.0.1 until interrupted, with a receiver of webhooks beside; 1 if a port is taken."""
    with ExitStack() as opened:
        try:
            listener = opened.enter_context(socket.create_server(("127.0.0.1", port), backlog=2048))
        except OSError as error:
            return _say_taken(port, error, f"make demo PORT={port + 1}")
        try:
            receiver = opened.enter_context(neighbour.listening(receiver_port))
        except OSError as error:
            return _say_taken(receiver_port, error, f'make demo PORT={port} ARGS="--receiver-port {port + 2}"')
        return _serve(listener, receiver)


def _serve(listener: socket.socket, receiver: socket.socket) -> int:
    folders.make_folders()
    if not folders.ORDERS_CSV.exists():
        write_orders(folders.ORDERS_CSV, progress=_show_rows)
    os.environ.setdefault("MPLCONFIGDIR", str(folders.DATA / "matplotlib"))
    os.environ["RAINCHECK_PUBLIC_URL"] = neighbour.url_of(listener)
    os.environ["DEMO_RECEIVER_URL"] = neighbour.url_of(receiver)
    print("Loading the application (the first start prepares fonts, about ten seconds)", flush=True)
    with neighbour.started("examples.demo.receiver", receiver):
        from examples.demo.app import app  # noqa: PLC0415 - after the messages that explain the wait

        server = Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
        server.run(sockets=[listener])
    return 0 if server.started else 1


def _say_taken(port: int, error: OSError, remedy: str) -> int:
    print(f"Port {port} cannot be used ({os.strerror(error.errno or 0)}). Try: {remedy}", file=sys.stderr)
    return 1


class Server(uvicorn.Server):
    """Tells how to use the demo once it serves."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print the guide."""
        await super().startup(sockets)
        if self.started and sockets:
            show_guide(neighbour.url_of(sockets[0]))


def show_guide(url: str) -> None:
    """Print what to do with the demo, in lines to paste."""
    print(GUIDE.format(url=url, csv=os.path.relpath(folders.ORDERS_CSV), rows=ROWS), flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _show_rows(done: int, rows: int) -> None:
    if sys.stdout.isatty() or done == rows:
        print(f"\rMaking orders.csv: {done:,} of {rows:,} rows", end="\n" if done == rows else "", flush=True)


if __name__ == "__main__":
    sys.exit(main())
