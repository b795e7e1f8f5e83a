"""Seeded storms: clients submit all the time while processes are killed, ended and paused at random moments.

Two servers and a worker program share a file. A blow hits one of them, or a child of theirs, or a fork server:

``kill``              KILL of a server or of the worker program
``kill-child``        KILL of the process of one running operation
``kill-fork-server``  KILL of the process that forks them
``term``, ``int``     an end in order
``pause``             STOP past the lease, then CONT: of the program alone, or of all its processes
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psutil

from raincheck.core.events import Event, EventType
from raincheck.core.operation import Operation
from tests.chaos.clients import Client
from tests.chaos.driver import Scene, Server, alive, until
from tests.chaos.readers import judge_replay

LEASE = 1.0
BLOWS = ("kill", "kill-child", "kill-fork-server", "term", "int", "pause")
_WEIGHTS = {"kill": 4, "kill-child": 3}
_WORKER = 2  # its place among the programs


@dataclass(eq=False)
class Report:
    """What storms did and found."""

    blows: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    in_the_dark: int = 0
    reruns: int = 0
    stale: int = 0
    replayed: int = 0
    takeovers: list[float] = field(default_factory=list)
    effects: list[float] = field(default_factory=list)
    exits: list[float] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Take in what another storm did."""
        self.blows.update(other.blows)
        self.takeovers += other.takeovers
        self.effects += other.effects
        self.exits += other.exits
        for name in ("accepted", "in_the_dark", "reruns", "stale", "replayed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        """Return all in one line."""
        struck = ", ".join(f"{count} {blow}" for blow, count in sorted(self.blows.items()))
        return (
            f"{struck}; {self.accepted} accepted = finished, {self.in_the_dark} unanswered and settled by key, "
            f"{self.reruns} ran again, {self.stale} stale runs went on and wrote nothing, {self.replayed} events seen "
            f"before = replayed after; takeover {summary(self.takeovers)}, its first effect {summary(self.effects)}; "
            f"exit {summary(self.exits)}"
        )


def summary(seconds: list[float]) -> str:
    """Return median and worst."""
    if not seconds:
        return "not measured"
    return f"median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s of {len(seconds)}"


def storm(scene: Scene, *, seed: int, blows: int, clients: int = 3, kinds: tuple[str, ...] = BLOWS) -> Report:
    """Strike again and again under submits; then check every promise."""
    scene.settings |= {"RAINCHECK_LEASE": f"{LEASE}s", "RAINCHECK_DRAIN": "0.3s", "RAINCHECK_PROCESS_SLOTS": "3"}
    chance = random.Random(seed)
    weather = Weather(scene, chance)
    ending = threading.Event()
    crowd = [Client(number, random.Random(seed * 100 + number)) for number in range(clients)]
    threads = [threading.Thread(target=each.work, args=(weather.servers, ending), daemon=True) for each in crowd]
    for thread in threads:
        thread.start()
    for _ in range(blows):
        time.sleep(chance.uniform(0.05, 0.6))
        weather.strike(chance.choices(kinds, [_WEIGHTS.get(kind, 1) for kind in kinds])[0])
    ending.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "a client hangs"
    judge(weather, crowd)
    return weather.report


def judge(weather: Weather, crowd: list[Client]) -> None:
    """Wait until everything is settled, and check every promise."""
    scene, report, server = weather.scene, weather.report, weather.programs[0]
    for client in crowd:
        client.settle(server)
    ids = [operation_id for client in crowd for operation_id in client.accepted.values()]
    assert len(ids) == len(set(ids))
    scene.finished(ids, by=server, patience=60)
    found = scene.judge(ids, paused=report.blows["pause"] > 0)
    assert {operation.attempt for operation, _ in found.values()} <= {1}
    assert scene.everything() == set(ids), "an operation exists that no client asked for"
    report.replayed = judge_replay([reader for client in crowd for reader in client.readers], server)
    report.accepted = len(ids)
    report.in_the_dark = sum(len(client.dark) for client in crowd)
    report.reruns = sum(operation.run > 1 for operation, _ in found.values())
    report.stale = stale_runs(scene)
    interrupted = interrupted_runs(scene, weather.killed)
    report.takeovers = takeovers(found, interrupted)
    report.effects = first_effects(scene, interrupted)


@dataclass(frozen=True, slots=True)
class Death:
    """When a process was killed, by the monotonic clock and by that of the machine."""

    at: float
    time: datetime


class Weather:
    """The programs of a storm, and how they are struck."""

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self.scene = scene
        self.report = Report()
        self.killed: dict[int, Death] = {}
        self._chance = chance
        self.programs = [scene.start(), scene.start(), scene.start_worker()]
        for server in self.servers():
            server.ready()

    def servers(self) -> list[Server]:
        """Return what clients may talk to."""
        return self.programs[:_WORKER]

    def strike(self, blow: str) -> None:
        """Strike once, and start again what has ended."""
        index = self._chance.randrange(len(self.programs))
        program = self.programs[index]
        if blow in {"kill-child", "kill-fork-server"}:
            victim = self._child(fork_server=blow == "kill-fork-server")
            if victim is None or not self._kill(victim):
                return
        elif blow == "pause":
            self._pause(program, LEASE * self._chance.uniform(1.5, 3.0), everything=self._chance.random() < 0.5)
        elif blow == "kill":
            self._kill(psutil.Process(program.pid))
            program.process.wait(10)
        else:
            at = time.monotonic()
            program.process.send_signal(signal.SIGTERM if blow == "term" else signal.SIGINT)
            program.process.wait(10)
            self.report.exits.append(time.monotonic() - at)
        self.report.blows[blow] += 1
        if program.process.poll() is not None:
            again = self.scene.start_worker() if index == _WORKER else self.scene.start()
            self.programs[index] = again if index == _WORKER else again.ready()

    def _kill(self, victim: psutil.Process) -> bool:
        """KILL one process, and those below it end with it; False if it had ended by itself."""
        try:
            family = [victim, *victim.children(recursive=True)]
            death = Death(time.monotonic(), datetime.now(UTC))
            victim.kill()
        except psutil.NoSuchProcess:
            return False
        self.killed |= {process.pid: death for process in family}
        return True

    def _child(self, *, fork_server: bool) -> psutil.Process | None:
        """Return a process that runs an operation, or the one that forked it; None when nothing runs in one."""
        running = {program.pid for program in self.programs}
        children = sorted({effect.pid for effect in self.scene.effects()[-200:] if alive(effect.pid)} - running)
        if not children:
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            child = psutil.Process(self._chance.choice(children))
            return child.parent() if fork_server else child
        return None

    def _pause(self, program: Server, seconds: float, *, everything: bool) -> None:
        paused = [psutil.Process(program.pid)]
        if everything:
            paused += paused[0].children(recursive=True)
        for process in paused:
            _signalled(process, signal.SIGSTOP)
        until(lambda: paused[0].status() == psutil.STATUS_STOPPED, what="the stop")
        time.sleep(seconds)
        for process in paused:
            _signalled(process, signal.SIGCONT)


def _signalled(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # a child may have ended meanwhile
        os.kill(process.pid, number)


def interrupted_runs(scene: Scene, killed: Mapping[int, Death]) -> dict[tuple[str, int], Death]:
    """Return the runs that a KILL interrupted, by operation and number."""
    last = {(effect.id, effect.run): effect for effect in scene.effects()}
    return {run: killed[e.pid] for run, e in last.items() if e.pid in killed and e.phase != "end"}


def takeovers(
    found: Mapping[str, tuple[Operation, list[Event]]], interrupted: Mapping[tuple[str, int], Death]
) -> list[float]:
    """Return the seconds from each KILL until a process had leased the next run, with its wait for a slot."""
    leased = {
        (operation_id, event.run): event.time
        for operation_id, (_, events) in found.items()
        for event in events
        if event.type is EventType.STATUS and json.loads(event.data)["status"] == "running"
    }
    return [
        (leased[operation_id, run + 1] - death.time).total_seconds()
        for (operation_id, run), death in interrupted.items()
        if (operation_id, run + 1) in leased
    ]


def first_effects(scene: Scene, interrupted: Mapping[tuple[str, int], Death]) -> list[float]:
    """Return the seconds from each KILL until the next run did something: its child was forked, the fork server too."""
    first: dict[tuple[str, int], float] = {}
    for effect in scene.effects():
        first.setdefault((effect.id, effect.run), effect.at)
    return [
        first[operation_id, run + 1] - death.at
        for (operation_id, run), death in interrupted.items()
        if (operation_id, run + 1) in first
    ]


def stale_runs(scene: Scene) -> int:
    """Return how many runs still did something after the next run of their operation had begun."""
    newest: dict[str, int] = {}
    stale = set()
    for effect in scene.effects():
        newest[effect.id] = max(newest.get(effect.id, 0), effect.run)
        if effect.run < newest[effect.id]:
            stale.add((effect.id, effect.run))
    return len(stale)
