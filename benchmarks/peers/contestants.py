"""Who is compared: how each one is started, what it needs, and whether work runs beside the server."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.peers.services import postgres, redis
from benchmarks.server import ROOT, free_port, pin

APPS = "benchmarks.peers.apps"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to do it. ``worker`` are the arguments after ``python -m``; without them the server works itself."""

    name: str
    module: str
    keeps: str
    package: str = ""
    worker: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    server_only: dict[str, str] = field(default_factory=dict)  # so that the server itself does not work


BARE = Contestant("bare FastAPI", "bare", "nothing")
RAINCHECK = Contestant(
    "Raincheck",
    "raincheck_",
    "SQLite",
    settings={"RAINCHECK_MAX_QUEUED": "10000000"},
    server_only={"RAINCHECK_WORKERS": "false"},
)
ALL = (
    BARE,
    RAINCHECK,
    Contestant("BackgroundTasks + dict", "background", "nothing", "fastapi"),
    Contestant(
        "Celery",
        "celery_",
        "redis",
        "celery",
        ("celery", "-A", f"{APPS}.celery_:queue", "worker", "--concurrency", "2", "--loglevel", "warning"),
    ),
    Contestant("arq", "arq_", "redis", "arq", ("arq", f"{APPS}.arq_.Worker")),
    Contestant(
        "Taskiq", "taskiq_", "redis", "taskiq", ("taskiq", "worker", f"{APPS}.taskiq_:broker", "--workers", "1")
    ),
    Contestant(
        "Procrastinate",
        "procrastinate_",
        "postgres",
        "procrastinate",
        ("procrastinate", "--app", f"{APPS}.procrastinate_.queue", "worker", "--concurrency", "100"),
    ),
    Contestant("DBOS", "dbos_", "postgres", "dbos"),
    Contestant("fastapi-taskflow", "taskflow", "SQLite", "fastapi-taskflow"),
    Contestant("fastapi-jobs", "jobs", "SQLite", "fastapi-jobs", (f"{APPS}.jobs_worker",)),
)


@dataclass(eq=False)
class Stage:
    """One contestant's processes on one folder; they can be killed and started again."""

    contestant: Contestant
    folder: Path
    variables: dict[str, str]
    port: int = 0
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def effects(self) -> list[tuple[str, str, float]]:
        lines = (self.folder / "effects").read_text().splitlines() if (self.folder / "effects").exists() else []
        return [(mark, phase, float(at)) for mark, phase, at in (line.split() for line in lines)]

    def start(self, *, works: bool, pinned: bool = False) -> None:
        """Start the server, and what works beside it."""
        self.port = free_port()
        serve = ["uvicorn", f"{APPS}.{self.contestant.module}:app", "--port", str(self.port)]
        settings = self.contestant.settings if works else self.contestant.settings | self.contestant.server_only
        server = self._run([*serve, "--log-level", "warning", "--no-access-log"], settings)
        if pinned:
            pin(0, server.pid)
        for _ in range(400):
            with contextlib.suppress(OSError):
                self.call("GET", "/openapi.json")
                break
            if server.poll() is not None:
                break
            time.sleep(0.05)
        else:
            raise SystemExit(f"{self.contestant.name} does not answer: {self._log()}")
        if server.poll() is not None:
            raise SystemExit(f"{self.contestant.name} ended at start: {self._log()}")
        if works and self.contestant.worker:
            self._run(list(self.contestant.worker), settings)

    def _run(self, arguments: list[str], settings: dict[str, str]) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
        variables = {**os.environ, "PYTHONPATH": paths, **self.variables, **settings}
        variables["PEERS_EFFECTS"] = str(self.folder / "effects")
        variables["RAINCHECK_STORE"] = f"sqlite:///{self.folder / 'operations.db'}"
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments], cwd=self.folder, env=variables, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def _log(self) -> str:
        return (self.folder / "log").read_text()[-2000:]

    def family(self) -> list[psutil.Process]:
        """Return all processes of the contestant, children too."""
        found = []
        for process in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                parent = psutil.Process(process.pid)
                found += [parent, *parent.children(recursive=True)]
        return found

    def kill(self) -> None:
        """KILL everything at once."""
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for process in self.processes:
            process.wait(10)
        self.processes.clear()

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, object]]:
        """Send one request; return status and answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, {}

    def known(self, job: str) -> bool | None:
        """Ask whether a job is done; None where it is unknown."""
        ours = self.contestant is RAINCHECK
        status, answer = self.call("GET", f"/operations/{job}" if ours else f"/status/{job}")
        return bool(answer["done"]) if status == 200 else None


@contextlib.contextmanager
def staged(contestant: Contestant, folder: Path) -> Iterator[Stage]:
    """Provide what the contestant keeps its jobs in; end everything afterwards."""
    with contextlib.ExitStack() as stack:
        variables = {}
        if contestant.keeps == "redis":
            variables["PEERS_REDIS"] = stack.enter_context(redis())
        if contestant.keeps == "postgres":
            variables["PEERS_POSTGRES"] = stack.enter_context(postgres())
        stage = Stage(contestant, folder, variables)
        stack.callback(stage.kill)
        yield stage
