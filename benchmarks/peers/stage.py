"""One contestant's processes, with what it keeps its jobs in: started, killed and started again."""

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

from benchmarks.peers.contestants import APPS, Contestant
from benchmarks.peers.services import postgres, redis
from benchmarks.server import ROOT, free_port, pin


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
            raise SystemExit(f"{self.contestant.name} does not answer: {self.log()}")
        if server.poll() is not None:
            raise SystemExit(f"{self.contestant.name} ended at start: {self.log()}")
        if works and self.contestant.worker:
            self._run(list(self.contestant.worker), settings)

    def _run(self, arguments: list[str], settings: dict[str, str]) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
        variables = {**os.environ, "PYTHONPATH": paths, **self.variables, **settings}
        variables["PEERS_EFFECTS"] = str(self.folder / "effects")
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [interpreter(self.contestant), "-m", *arguments], cwd=self.folder, env=variables, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def log(self) -> str:
        """Return the end of what its processes wrote."""
        return (self.folder / "log").read_text()[-2000:]

    def family(self) -> list[psutil.Process]:
        """Return all processes of the contestant, children too."""
        found = []
        for process in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                parent = psutil.Process(process.pid)
                found += [parent, *parent.children(recursive=True)]
        return found

    def spent(self) -> float:
        """Return the seconds of a core that its processes have taken."""
        times = [process.cpu_times() for process in self.family()]
        return sum(each.user + each.system for each in times)

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
        status, answer = self.call("GET", f"/operations/{job}" if self.contestant.ours else f"/status/{job}")
        return bool(answer["done"]) if status == 200 else None


@contextlib.contextmanager
def staged(contestant: Contestant, folder: Path) -> Iterator[Stage]:
    """Provide what the contestant keeps its jobs in; end everything afterwards."""
    with contextlib.ExitStack() as stack:
        variables = {"RAINCHECK_STORE": f"sqlite:///{folder / 'operations.db'}"}
        if "redis" in contestant.keeps:
            variables["PEERS_REDIS"] = variables["RAINCHECK_BROKER"] = stack.enter_context(redis())
        if "postgres" in contestant.keeps:
            variables["PEERS_POSTGRES"] = variables["RAINCHECK_STORE"] = stack.enter_context(postgres())
        stage = Stage(contestant, folder, variables)
        stack.callback(stage.kill)
        yield stage


def interpreter(contestant: Contestant) -> str:
    """Return the Python that has the contestant's packages: this one, or that of an environment beside this one."""
    if not contestant.environment:
        return sys.executable
    python = Path(f"{sys.prefix}-{contestant.environment}") / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"{python} is missing, which {contestant.name} needs; `make bench-peers` makes it")
    return str(python)


def version(contestant: Contestant) -> str:
    """Return the version of the contestant's package, where it has one."""
    if not contestant.package:
        return ""
    ask = f"import importlib.metadata; print(importlib.metadata.version({contestant.package!r}))"
    return subprocess.run(
        [interpreter(contestant), "-c", ask], check=True, capture_output=True, text=True
    ).stdout.strip()
