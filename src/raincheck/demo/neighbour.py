"""Other people's applications that the demo needs: each a process of its own that ends with whoever started it."""

import argparse
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI


def listening(port: int = 0) -> socket.socket:
    """Return a listening socket on 127.0.0.1; port 0 takes a free one.

    :raises OSError: the port is taken.
    """
    return socket.create_server(("127.0.0.1", port), backlog=100)


def url_of(listener: socket.socket) -> str:
    """Return the URL under which a socket listens."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def started(module: str, listener: socket.socket) -> Iterator[None]:
    """Run a module that calls :func:`serve`, with the socket, until the block ends."""
    with subprocess.Popen(  # noqa: S603 - a module of the demo
        [sys.executable, "-m", module, "--fd", str(listener.fileno())],
        stdin=subprocess.PIPE,  # closing it, or dying, ends the neighbour
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        pass_fds=[listener.fileno()],
        start_new_session=True,  # Ctrl-C is for the demo, which may still need an answer while it drains
    ) as neighbour:
        listener.close()
        try:
            yield
        finally:
            neighbour.kill()


def serve(app: FastAPI) -> None:
    """Serve on the inherited socket until the starter, which holds the other end of stdin, is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True, help="number of a listening socket")
    options = parser.parse_args()
    threading.Thread(target=_end_with_starter, daemon=True).start()
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[socket.socket(fileno=options.fd)])


def _end_with_starter() -> None:
    sys.stdin.buffer.read()
    os._exit(0)
