"""Commands of the documentation that go on running, as in a reader's terminals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2

SHOWN = "http://127.0.0.1:8000"
PATIENCE = 60.0  # seconds; a bound against hanging, never what a test measures


class Running:
    """A command that was started with bash in a folder of its own.

    :param command: as the page shows it.
    :param ready: what it prints once it can be used.
    :param settings: ``RAINCHECK_*`` variables; the terminal has no others.
    """

    def __init__(self, command: str, folder: Path, *, ready: str, **settings: str) -> None:
        self._log = folder / f"terminal-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", f"exec env {command}"],
                cwd=folder,
                env=terminal() | settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.wait_for(ready)
        except BaseException:
            self.kill()
            raise

    @property
    def printed(self) -> str:
        """What the command has printed."""
        return self._log.read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until the command prints something."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.printed:
            assert self.process.poll() is None, f"it ended:\n{self.printed}"
            assert time.monotonic() < deadline, f"{text!r} did not come:\n{self.printed}"
            time.sleep(0.02)

    def terminate(self) -> int:
        """Send SIGTERM as a supervisor does, and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE)

    def kill(self) -> None:
        """``kill -9`` of it and of uvicorn's workers, which would outlive it; children of operations notice it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def terminal() -> dict[str, str]:
    """Return the environment of a reader's terminal: the project's commands, and no settings of ours."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAINCHECK_")}
    path = os.pathsep.join((str(Path(sys.executable).parent), inherited.get("PATH", "")))
    return inherited | {"PATH": path, "PYTHONUNBUFFERED": "1"}


class Server(Running):
    """A uvicorn command on a port of its own, and a client of it."""

    def __init__(self, command: str, folder: Path, *, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(f"{command} --port {self.port}", folder, ready="Application startup complete")
        self._connected()  # uvicorn says that it is ready a moment before it listens
        self.client = httpx2.Client(base_url=self.url, timeout=PATIENCE + 30, trust_env=False, verify=False)

    def _connected(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "the server does not listen"
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """End it and the client."""
        super().kill()
        if hasattr(self, "client"):
            self.client.close()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def submit(server: Server, below: int) -> str:
    """Submit the README's operation and return where to poll it."""
    answer = server.client.post("/primes", params={"below": below})
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"])


def wait_until_running(server: Server, here: str) -> None:
    """Wait until the operation has told some progress."""
    operation = server.client.get(here).json()
    while not (operation["progress"] and operation["progress"]["current"]):
        assert not operation["done"], operation
        params = {"wait": 30, "after": operation["version"]}
        operation = server.client.get(here, params=params).json()


def finished(server: Server, here: str) -> dict:
    """Wait for the end, as polls do."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        operation = server.client.get(here, params={"wait": 30}).json()
        if operation["done"]:
            return operation
    raise AssertionError(operation)
