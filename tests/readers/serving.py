"""A real uvicorn that can be killed and started again on the same database."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

HERE = Path(__file__).resolve().parent
PATIENCE = 60.0  # seconds; a bound against hanging, never what a test measures
TICK = 0.01


class Server:
    """Serves ``application.py`` from a folder, on a port of its own with each start.

    :param home: where that application is.
    :param arguments: more of uvicorn's own.
    """

    def __init__(self, folder: Path, *, home: Path = HERE, arguments: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self._home = home
        self._arguments = arguments
        self.signals = folder / "signals"
        self.signals.mkdir(exist_ok=True)
        self._log = folder / "server.log"
        self.port = 0
        self.start()

    def start(self, port: int | None = None) -> None:
        """Start, and return when it serves."""
        self.port = port or _free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAINCHECK_")}
        environment |= {
            "READERS_SIGNALS": str(self.signals),
            "RAINCHECK_STORE": f"sqlite:///{self.folder / 'operations.db'}",
        }
        command = [
            *(sys.executable, "-m", "uvicorn", "application:app", "--app-dir", str(self._home)),
            *("--host", "127.0.0.1", "--port", str(self.port), "--no-access-log", "--log-level", "warning"),
            *self._arguments,
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.client = httpx2.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE, trust_env=False, verify=False
        )
        eventually(self._answers, "the server", self)

    def kill(self) -> None:
        """End the server and its children as a power cut would."""
        self.client.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def log(self) -> str:
        """What the server has printed."""
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Return the number of the serving process."""
        return self._process.pid

    @property
    def memory(self) -> int:
        """Return the resident bytes of the serving process."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def submit(self, path: str, **options: Any) -> str:
        """Submit and return the operation's id."""
        answer = self.client.post(path, **options)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def done(self, operation_id: str) -> dict[str, Any]:
        """Wait until an operation has succeeded."""
        operation: dict[str, Any] = self.client.get(f"/operations/{operation_id}", params={"wait": 50}).json()
        assert operation["status"] == "succeeded", operation
        return operation

    def events(self, operation_id: str, after: int = 0) -> list[tuple[str, str, str]]:
        """Return the log of a finished operation as one uninterrupted stream gives it: ids, types, data."""
        with self.client.stream("GET", f"/operations/{operation_id}/events", params={"after": after}) as answer:
            text = answer.read().decode("ascii")
        return [_fields(frame) for frame in text.split("\n\n") if frame and not frame.startswith(":")]

    def give(self, name: str) -> None:
        """Let an operation go on."""
        (self.signals / name).touch()

    def await_signal(self, name: str) -> None:
        """Wait until the application told us."""
        eventually((self.signals / name).exists, f"the signal {name}", self)

    def _answers(self) -> bool:
        assert self._process.poll() is None, f"the server ended:\n{self.log}"
        try:
            return self.client.get("/ping").status_code == 200
        except httpx2.TransportError:
            return False


def eventually(condition: Any, what: str, server: Server) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came:\n{server.log}"
        time.sleep(TICK)


def _fields(frame: str) -> tuple[str, str, str]:
    fields = dict(line.split(": ", 1) for line in frame.split("\n"))
    return fields.get("id", ""), fields["event"], fields["data"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
