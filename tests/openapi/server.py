"""A real server in a process of its own."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
_SECONDS_TO_START = 60


@contextlib.contextmanager
def served(*, owned: bool = False, broken: bool = False) -> Iterator[str]:
    """Give the URL of a running test application with an SQLite store of its own."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-m", "tests.openapi.serve", str(listener.fileno()), f"sqlite:///{folder}/store.db"]
        log = Path(folder, "server.log")
        with log.open("wb") as stream:
            server = subprocess.Popen(
                [*command, *(["owned"] if owned else []), *(["broken"] if broken else [])],
                cwd=ROOT,
                pass_fds=[listener.fileno()],
                stderr=stream,
                stdout=stream,
            )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            _wait_until_ready(url, server)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            said = log.read_text(errors="replace")
            if said:
                print(said[-5000:], file=sys.stderr)  # noqa: T201 - pytest shows it beside a failure


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    """Ask until the server answers; the socket is open from the start, so a server that died would never refuse."""
    end = time.monotonic() + _SECONDS_TO_START
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/openapi.json", timeout=5) as answer:
            assert answer.status == 200
            return
    pytest.fail("the server did not start; its output is on stderr")
