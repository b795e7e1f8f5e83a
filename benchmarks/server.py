"""Starts benchmark applications under uvicorn, pinned to a core where the machine has two."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pin(processor: int, process: int = 0) -> None:
    """Keep a process (0: this one) on one core, where there is more than one."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(process, {processor})


@contextlib.contextmanager
def on_core(processor: int) -> Iterator[None]:
    """Keep this process, and what it starts meanwhile, on one core."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    pin(processor)
    try:
        yield
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)


@contextlib.contextmanager
def serving(
    folder: Path, application: str = "benchmarks.apps:app", *, pinned: bool = True, **environment: str
) -> Iterator[int]:
    """Serve an application of this folder and yield its port."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", application, "--port", str(port), "--log-level", "warning"]
    command += ["--no-access-log", "--app-dir", str(ROOT)]
    variables = {**os.environ, "RAINCHECK_STORE": f"sqlite:///{folder / 'bench.db'}", **environment}
    process = subprocess.Popen(command, cwd=folder, env=variables)
    if pinned:
        pin(0, process.pid)
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


@contextlib.contextmanager
def working(folder: Path, count: int, application: str = "benchmarks.apps:rain", **environment: str) -> Iterator[None]:
    """Run worker programs beside a server; they end when the block does."""
    command = [sys.executable, "-c", "from raincheck.cli import main; main()", "worker", application]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    processes = [subprocess.Popen(command, cwd=folder, env=variables) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(15)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise SystemExit("the benchmark server ended at start")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise SystemExit("the benchmark server did not start")
