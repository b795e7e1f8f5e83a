"""Starts real servers on one file, hurts them, and judges what the store says against what really ran."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import psutil

from raincheck.core.events import Event, EventType
from raincheck.core.operation import Operation, Status
from raincheck.ports import ListQuery
from raincheck.settings import Settings
from raincheck.storage import open_storage
from tests.engines.backends import Place
from tests.engines.celery_chosen import worker_options

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0
STARTING = 90.0  # seconds; a loaded machine imports slowly
LEASE = 15.0
FLEET_LEASE = 2.0
LONG_BEFORE_THE_LEASE_ENDS = LEASE / 2
"""Seconds within which a dead or draining process is followed on any machine; the figures of a good day are those that
``make storms`` reports, and no test fails for a bad one."""
RETURN_THEIR_RUN = frozenset({"async", "thread", "process", "family"})
T = TypeVar("T")


def until(found: Any, *, patience: float = PATIENCE, what: str = "it") -> Any:
    """Return the first truthy answer; fail loudly when none comes."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        answer = found()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {patience:g} s")


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of the side-effect log; ``at`` is the machine's monotonic clock, the same in all processes."""

    id: str
    run: int
    attempt: int
    phase: str
    pid: int
    at: float


@dataclass(eq=False)
class Server:
    """One started program: a server with its workers, or a worker."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    client: httpx2.Client

    @property
    def pid(self) -> int:
        return self.process.pid

    def ready(self) -> Server:
        """Wait until it answers."""

        def answers() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(httpx2.HTTPError):
                return self.client.get("/alive").status_code == 200
            return False

        until(answers, patience=STARTING, what="an answer of the server")
        return self

    def submit(self, kind: str, *, headers: dict[str, str] | None = None, **order: Any) -> str:
        """Return the id of an accepted operation."""
        answer = self.client.post(f"/{kind}", json=order, headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def get(self, operation_id: str) -> dict[str, Any]:
        """Poll once."""
        answer = self.client.get(f"/operations/{operation_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def kill(self) -> float:
        """KILL the program alone, wait for its end, and return when it was."""
        at = time.monotonic()
        self.process.kill()
        self.process.wait(PATIENCE)
        return at

    def terminate(self) -> float:
        """TERM the program, wait for its end, and return how long that took."""
        at = time.monotonic()
        self.process.terminate()
        self.process.wait(PATIENCE)
        return time.monotonic() - at

    def pause(self) -> None:
        """STOP the program alone and wait until it stands still."""
        os.kill(self.pid, signal.SIGSTOP)
        until(lambda: psutil.Process(self.pid).status() == psutil.STATUS_STOPPED, what="the stop")

    def resume(self) -> None:
        """CONT the program."""
        os.kill(self.pid, signal.SIGCONT)


@dataclass(eq=False)
class Scene:
    """One database, one side-effect log, and the programs that use them.

    :param database_url: a schema in PostgreSQL; a file of SQLite without one.
    """

    folder: Path
    deaf: bool = False
    database_url: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    store_folder: Path | None = None
    servers: list[Server] = field(default_factory=list)

    @property
    def database(self) -> Path:
        return (self.store_folder or self.folder) / "operations.db"

    @property
    def takeover(self) -> float:
        """Seconds after a death by which its work must go on elsewhere on any machine, however slow."""
        return 5 * FLEET_LEASE if self.database_url else LONG_BEFORE_THE_LEASE_ENDS

    def settle_at(self, place: Place) -> None:
        """Take a store and an engine that nobody has used."""
        self.settings |= {f"RAINCHECK_{name.upper()}": value for name, value in place.settings.items() if value}
        self.database_url = self.settings.pop("RAINCHECK_STORE", None)
        if place.celery:
            self.settings["CELERY_BROKER"] = place.celery

    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAINCHECK_")}
        return {
            **inherited,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
            "CHAOS_EFFECTS": str(self.folder / "effects"),
            "RAINCHECK_STORE": self.database_url or f"sqlite:///{self.database}",
            # The lock of a dead process is seen at once, by those on its machine; across a network only its lease ends.
            "RAINCHECK_LEASE": f"{FLEET_LEASE if self.database_url else LEASE}s",
            **({"CHAOS_DEAF": "1"} if self.deaf else {}),
            **self.settings,
        }

    def start(
        self,
        *arguments: str,
        module: str = "tests.chaos.application",
        descriptors: int | None = None,
        under: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        **variables: str,
    ) -> Server:
        """Start a server; wait for it with ``ready()``.

        :param under: a command that runs it, as a prefix.
        :param host: where it listens.
        """
        address = host, free_port()
        place = ["--host", host, "--port", str(address[1])]
        command = [*under, sys.executable, "-m", "uvicorn", f"{module}:app", *place, "--log-level", "warning"]
        return self._launch([*command, *arguments], address, descriptors, variables)

    def start_worker(
        self, *, module: str = "tests.chaos.application", under: tuple[str, ...] = (), **variables: str
    ) -> Server:
        """Start a program that only works: Raincheck's, or Celery's where that is the engine."""
        if self.settings.get("CELERY_BROKER"):
            command = ["-m", "celery", "-A", f"{module}:celery", *worker_options()]
        else:
            command = ["-c", "from raincheck.cli import main; main()", "worker", f"{module}:rain"]
        return self._launch([*under, sys.executable, *command], ("127.0.0.1", 0), None, variables)

    def _launch(
        self, command: list[str], address: tuple[str, int], descriptors: int | None, variables: dict[str, str]
    ) -> Server:
        host, port = address
        log = self.folder / f"server-{len(self.servers)}.log"

        def limit() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs, and all they start, ignore it
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**self.environment(), **variables},
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=limit,  # noqa: PLW1509 - two system calls
            )
        client = httpx2.Client(base_url=f"http://{host}:{port}", timeout=PATIENCE, trust_env=False, verify=False)
        server = Server(process, port, log, client)
        self.servers.append(server)
        return server

    def close(self) -> None:
        """End every program that this scene started, and what they left."""
        for server in self.servers:
            server.client.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.process.wait(PATIENCE)
        until(lambda: not self.living_pids(), what="the end of all children")

    # --- what really happened -----------------------------------------------------------------------------------

    def effects(self) -> list[Effect]:
        """Return the side effects in the order in which they were written."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / "effects").read_text().splitlines()
            parts = [line.split() for line in lines]
            return [Effect(p[0], int(p[1]), int(p[2]), p[3], int(p[4]), float(p[5])) for p in parts]
        return []

    def begun(self, operation_id: str, *, run: int = 1) -> Effect:
        """Wait for the first side effect of a run."""

        def found() -> Effect | None:
            return next((e for e in self.effects() if e.id == operation_id and e.run >= run), None)

        effect: Effect = until(found, what=f"run {run} of {operation_id}")
        return effect

    def living_pids(self) -> set[int]:
        """Return the processes that left side effects and are alive, other than the servers themselves."""
        servers = {server.pid for server in self.servers if server.process.poll() is None}
        return {effect.pid for effect in self.effects() if alive(effect.pid)} - servers

    # --- what the store says ------------------------------------------------------------------------------------

    def read(self, ids: list[str]) -> dict[str, tuple[Operation, list[Event]]]:
        """Return records and complete logs, read through the store."""
        return self.with_store(lambda store: _read_all(store, ids))

    def everything(self) -> set[str]:
        """Return the ids of all operations in the database."""
        return self.with_store(_all_ids)

    def with_store(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Open the store in this process, and do something with it."""

        async def opened() -> T:
            async with contextlib.AsyncExitStack() as stack:
                location = Settings(store=self.environment()["RAINCHECK_STORE"]).location
                storage = await open_storage(location, stack)
                return await work(storage.store)

        return asyncio.run(opened())

    def finished(self, ids: list[str], *, by: Server, patience: float = PATIENCE) -> dict[str, dict[str, Any]]:
        """Poll until all operations are done; every poll of an accepted id must answer."""
        done: dict[str, dict[str, Any]] = {}

        def all_done() -> bool:
            for operation_id in ids:
                if operation_id not in done:
                    resource_now = by.get(operation_id)
                    if resource_now["done"]:
                        done[operation_id] = resource_now
            return len(done) == len(ids)

        until(all_done, patience=patience, what="the end of all accepted operations")
        return done

    def judge(
        self, ids: list[str], *, status: Status = Status.SUCCEEDED, paused: bool = False
    ) -> dict[str, tuple[Operation, list[Event]]]:
        """Check the promises for operations that are done: nothing lost, one end, an ordered log, unique runs.

        :param paused: processes were; one that was stopped between a claim and its function begins a run late.
        """
        found = self.read(ids)
        effects = defaultdict(list)
        for effect in self.effects():
            effects[effect.id].append(effect)
        for operation_id in ids:
            operation, events = found[operation_id]
            assert operation.status is status, f"{operation_id} ended {operation.status}: {operation.error}"
            judge_log(operation, events)
            judge_result(operation)
            judge_runs(effects[operation_id], in_order=not paused)
        return found


async def _read_all(store: Any, ids: list[str]) -> dict[str, tuple[Operation, list[Event]]]:
    found: dict[str, tuple[Operation, list[Event]]] = {}
    for operation_id in ids:
        events: list[Event] = []
        while True:
            after = events[-1].version if events else 0
            portion = await store.events_after({operation_id: after})
            assert operation_id in portion, f"{operation_id} was accepted and is lost"
            operation, more = portion[operation_id]
            events += more
            found[operation_id] = (operation, events)
            if not more:
                break
    return found


async def _all_ids(store: Any) -> set[str]:
    found: set[str] = set()
    while page := await store.list_page(ListQuery(owner=None, before_id=min(found, default=None), limit=200)):
        found |= {operation.id for operation in page}
    return found


def judge_log(operation: Operation, events: list[Event]) -> None:
    """Check one finished log: strictly rising, one end, holes only where a progress was superseded."""
    versions = [event.version for event in events]
    assert versions == sorted(set(versions)), f"{operation.id}: versions are not strictly rising: {versions}"
    assert versions[0] == 1
    ends = [event.version for event in events if event.type is EventType.DONE]
    assert ends == [operation.version], f"{operation.id} has {len(ends)} ends"
    assert versions[-1] == operation.version
    runs = [event.run for event in events if event.type is not EventType.DONE]
    assert runs == sorted(runs), f"{operation.id}: a stale run wrote after its successor: {runs}"
    if operation.progress is None:
        assert versions == list(range(1, operation.version + 1)), f"{operation.id} has a hole: {versions}"
    outputs: dict[int, list[str]] = defaultdict(list)
    for event in events:
        if event.type is EventType.OUTPUT:
            outputs[event.run].append(event.data)
    for run, chunks in outputs.items():
        expected = [f'{{"chunk": {{"run": {run}, "step": {step}}}}}' for step in range(len(chunks))]
        assert [
            chunk.replace(":", ": ").replace(":  ", ": ").replace(",", ", ").replace(",  ", ", ") for chunk in chunks
        ] == expected, f"{operation.id}: output of run {run} has a gap: {chunks}"


def judge_result(operation: Operation) -> None:
    """Check that the result is that of the newest run: these functions return theirs."""
    if operation.kind in RETURN_THEIR_RUN and operation.result is not None:
        assert operation.result.body == str(operation.run).encode(), f"{operation.id} has the result of a stale run"


def judge_runs(effects: list[Effect], *, in_order: bool) -> None:
    """Check the side effects of one operation: each run began once, and later runs began later."""
    begins = [effect for effect in effects if effect.phase == "begin"]
    assert max(Counter(effect.run for effect in begins).values(), default=1) == 1
    if in_order:
        assert [effect.run for effect in begins] == sorted(effect.run for effect in begins)


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
