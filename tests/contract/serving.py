"""A real uvicorn around the contract tests' application, and callers of it."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.engines.celery_chosen import worker_options

HERE = Path(__file__).resolve().parent
WORKER = [sys.executable, "-c", "from raincheck.cli import main; main()", "worker", "application:app.state.rain"]
PATIENCE = 30.0  # seconds; a bound against hanging, never what a test measures
TICK = 0.01
STARTING = 90.0  # seconds; a loaded machine imports slowly


class Server:
    """A started uvicorn.

    :param application: which of ``application.py``.
    :param folder: where it runs; the database and the signals live there.
    :param processes: how many serve; more than one share the port.
    :param elsewhere: whether a ``raincheck worker`` runs the work, and the server none.
    :param celery: the broker of Celery, whose worker then runs the work of any server that has workers.
    :param settings: ``RAINCHECK_*`` without the prefix; the store is a file in the folder unless one is given.
    """

    def __init__(
        self,
        application: str,
        folder: Path,
        *,
        processes: int = 1,
        elsewhere: bool = False,
        celery: str = "",
        arguments: tuple[str, ...] = (),
        **settings: object,
    ) -> None:
        self.folder = folder
        self.processes = processes
        self.elsewhere = elsewhere or bool(celery and settings.get("workers", True))
        self.signals = folder / "signals"
        self.signals.mkdir(exist_ok=True)
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / f"server-{self.port}.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAINCHECK_")}
        environment |= {
            "CONTRACT_APPLICATION": application,
            "CELERY_BROKER": celery,
            "CONTRACT_SIGNALS": str(self.signals),
            "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
            "PYTHONUNBUFFERED": "1",
            "RAINCHECK_STORE": f"sqlite:///{folder / 'operations.db'}",
            "RAINCHECK_PROCESS_SLOTS": "4",
            **{f"RAINCHECK_{name.upper()}": str(value) for name, value in settings.items()},
        }
        command = [
            *(sys.executable, "-m", "uvicorn", "application:app", "--app-dir", str(HERE)),
            *("--host", "127.0.0.1", "--port", str(self.port), "--workers", str(processes)),
            *("--timeout-keep-alive", "600", "--no-access-log", "--ws", "wsproto", *arguments),
        ]
        if elsewhere and not celery:
            environment["RAINCHECK_WORKERS"] = "false"
        self._environment = environment
        self._log.write_bytes(b"")
        self.process = self._launched(command)
        worker = [sys.executable, "-m", "celery", "-A", "application:celery", *worker_options()] if celery else WORKER
        self._worker = self._launched(worker) if self.elsewhere else None
        self._closing = contextlib.ExitStack()
        try:
            self.connections = self._connect()
        except BaseException:
            self.kill()
            raise

    # --- the process ----------------------------------------------------------------------------------------------

    def _launched(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def shared(self) -> bool:
        """Whether what a reader of this server sees may have been written by another process."""
        return self.processes > 1 or self.elsewhere

    @property
    def log(self) -> str:
        """What the server has printed."""
        return self._log.read_text(errors="replace")

    def terminate(self) -> None:
        """Ask the server to end."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """End the server and return its exit status."""
        self._closing.close()
        if self.process.poll() is None:
            self.terminate()
        if self._worker is not None:
            self._worker.terminate()
            self._worker.wait(timeout=PATIENCE)
        try:
            return self.process.wait(timeout=PATIENCE)
        finally:
            self.kill()

    def kill(self) -> None:
        """End whatever is left of the server's own process group, and its worker."""
        for process in filter(None, (self.process, self._worker)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _connect(self) -> list[httpx2.Client]:
        """Return one connection to each process, so that requests can be spread on purpose."""
        found: dict[str, httpx2.Client] = {}
        deadline = time.monotonic() + STARTING
        while len(found) < self.processes:
            client = self.fresh()
            try:
                process = str(client.get("/process").json())
            except httpx2.TransportError:
                process = None
            if process is None or process in found:
                client.close()
                assert self.process.poll() is None, f"the server ended:\n{self.log}"
                assert time.monotonic() < deadline, f"the server did not start:\n{self.log}"
                time.sleep(TICK)
                continue
            found[process] = client
        return list(found.values())

    # --- callers --------------------------------------------------------------------------------------------------

    def fresh(self, **options: Any) -> httpx2.Client:
        """Return a client with a connection of its own; whichever process accepts it answers."""
        # Plain HTTP: loading certificates for each connection takes longer than most tests.
        client = httpx2.Client(base_url=self.url, timeout=PATIENCE + 60, trust_env=False, verify=False, **options)
        self._closing.callback(client.close)
        return client

    def caller(self, name: str | None = None) -> Caller:
        """Return a caller; each has its own operations and keys."""
        return Caller(self, name or f"caller-{uuid.uuid4().hex[:12]}")

    def exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send bytes as they are, and return the answer's status, headers in lower case, and body."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(request)
            return read_answer(connection)

    # --- signals --------------------------------------------------------------------------------------------------

    def give(self, name: str) -> None:
        """Let an operation go on."""
        (self.signals / name).touch()

    def await_signal(self, name: str) -> None:
        """Wait until the application told us."""
        eventually((self.signals / name).exists, f"the signal {name}", self)


@dataclass
class Caller:
    """One caller. Every request goes to another process than the one before, where there are several."""

    server: Server
    name: str

    def __post_init__(self) -> None:
        self._turns = itertools.cycle(self.server.connections)

    @property
    def headers(self) -> dict[str, str]:
        """Say who this is."""
        return {"X-Caller": self.name}

    def request(self, method: str, path: str, *, headers: Any = (), **options: Any) -> httpx2.Response:
        """Send a request as this caller."""
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        return next(self._turns).request(method, path, headers=[*self.headers.items(), *pairs], **options)

    def get(self, path: str, **options: Any) -> httpx2.Response:
        """Send a GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx2.Response:
        """Send a POST."""
        return self.request("POST", path, **options)

    def delete(self, path: str, **options: Any) -> httpx2.Response:
        """Send a DELETE."""
        return self.request("DELETE", path, **options)

    def submit(self, path: str, **options: Any) -> dict[str, Any]:
        """Submit and return the accepted operation."""
        answer = self.post(path, **options)
        assert answer.status_code == 202, answer.text
        operation: dict[str, Any] = answer.json()
        return operation

    def operation(self, operation_id: str) -> dict[str, Any]:
        """Return an operation as it is."""
        answer = self.get(f"/operations/{operation_id}")
        assert answer.status_code == 200, answer.text
        operation: dict[str, Any] = answer.json()
        return operation

    def done(self, operation_id: str) -> dict[str, Any]:
        """Wait until an operation is done."""
        return self.until(operation_id, "succeeded", "failed", "cancelled")

    def until(self, operation_id: str, *statuses: str) -> dict[str, Any]:
        """Wait until an operation has one of the statuses, waking with each change."""
        operation = self.operation(operation_id)
        while operation["status"] not in statuses:
            assert not operation["done"], f"expected {statuses}: {operation}"
            answer = self.get(f"/operations/{operation_id}", params={"wait": PATIENCE, "after": operation["version"]})
            assert answer.status_code == 200, answer.text
            assert answer.json()["version"] > operation["version"], f"nothing happened: {answer.json()}"
            operation = answer.json()
        return operation

    def finished(self, path: str, **options: Any) -> dict[str, Any]:
        """Submit and wait until the operation is done."""
        return self.done(self.submit(path, **options)["id"])

    def listed(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return the first page of this caller's operations."""
        answer = self.get("/operations", params=parameters)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


class Background(threading.Thread):
    """A request under way; ``answer`` waits for it."""

    def __init__(self, call: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(daemon=True)
        self._call = lambda: call(*arguments, **options)
        self._answer: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Make the request."""
        try:
            self._answer = self._call()
        except BaseException as error:
            self._error = error

    @property
    def answer(self) -> Any:
        """Wait for the answer."""
        self.join(PATIENCE + 60)
        assert not self.is_alive(), "the request was never answered"
        if self._error is not None:
            raise self._error
        return self._answer


def eventually(condition: Any, what: str, server: Server | None = None) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        log = f"\n{server.log}" if server is not None else ""
        assert time.monotonic() < deadline, f"{what} never came{log}"
        time.sleep(TICK)


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer from a socket."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def assert_problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a problem document (RFC 9457) and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"urn:raincheck:problem:{code}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in answer.text
    assert str(HERE) not in answer.text
    return problem


def fresh_name() -> str:
    """Return a name for a signal or a key that no other test uses."""
    return f"n{uuid.uuid4().hex}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
