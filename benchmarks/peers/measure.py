"""The measurements, the same for each contestant."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.load import Load, generate, request_bytes
from benchmarks.peers.contestants import ALL, BARE, Contestant
from benchmarks.peers.stage import Stage, staged
from benchmarks.server import on_core

SETS = 3
ROUNDS = 3
SECONDS = 0.5
WARM_UP = 0.3
REST = 0.1
REST_PATIENCE = 10.0
ORDER = {
    "customer": "c-1042",
    "lines": [{"sku": f"SKU-{n:05}", "quantity": n, "price": 9.5} for n in range(16)],
    "note": "",
}
BODY = json.dumps(ORDER).encode()
SUBMIT = request_bytes("POST", "/submit", BODY)
DRAIN_PATIENCE = 12.0
REVIVAL_PATIENCE = 45.0


def load(stage: Stage, *, connections: int, seconds: float = SECONDS) -> Load:
    return asyncio.run(generate(stage.port, SUBMIT, connections=connections, seconds=seconds))


def accepted(done: Load) -> int:
    """Count what was accepted; some contestants answer 500 under load."""
    return done.statuses.get(200, 0) + done.statuses.get(202, 0)


@contextlib.contextmanager
def opened(contestant: Contestant) -> Iterator[Stage]:
    """Stage a contestant in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, staged(contestant, Path(folder)) as stage:
        yield stage


@dataclass(frozen=True, slots=True)
class Turn:
    """What half a second of load showed. A server that puts work off until after its answer is busy for longer."""

    accepted: int
    sent: int
    seconds: float
    busy: float

    @property
    def rate(self) -> float:
        return self.accepted / self.seconds

    @property
    def sustained(self) -> float:
        return self.accepted / self.busy


def turn(stage: Stage, seconds: float = SECONDS) -> Turn:
    """Load a server until it has answered and rests again, so that what it put off is in nobody else's turn."""
    done = load(stage, connections=64, seconds=seconds)
    return Turn(accepted(done), len(done.latencies), done.seconds, done.seconds + until_rest(stage))


def until_rest(stage: Stage) -> float:
    """Wait until the server does nothing more for what it accepted; return the seconds that it went on."""
    began = time.monotonic()
    while True:
        at, before = time.monotonic(), stage.spent()
        time.sleep(REST)
        if stage.spent() - before <= REST / 8 or at - began > REST_PATIENCE:
            return at - began


def accept(contestant: Contestant) -> dict[str, float]:
    """Interleave a bare endpoint, the contestant and, if it is one of ours, its engine alone: A B C A B C.

    Work is switched off where it can be. Each set of rounds begins with empty stores and ends before anybody can think
    that what it handed to a broker was lost, since nobody takes it there.
    """
    alone = [each for each in ALL if each.name == contestant.engine]
    sets = [taken_in_turns([BARE, contestant, *alone]) for _ in range(SETS)]
    rounds = [turns for found, _ in sets for turns in found]
    figures = {
        "accept_ratio": statistics.median(ours.rate / bare.rate for bare, ours, *_ in rounds),
        "sustained_ratio": statistics.median(ours.sustained / bare.rate for bare, ours, *_ in rounds),
        "accepts_per_second": statistics.median(ours.rate for _, ours, *_ in rounds),
        "bare_per_second": statistics.median(bare.rate for bare, *_ in rounds),
        "accept_p50_ms": statistics.median(single.median for _, single in sets),
        "refused_percent": 100 * (1 - sum(each[1].accepted for each in rounds) / sum(each[1].sent for each in rounds)),
    }
    if alone:
        figures["engine_alone_ratio"] = statistics.median(engine.sustained / bare.rate for bare, _, engine in rounds)
        figures["sustained_of_engine"] = statistics.median(
            ours.sustained / engine.sustained for _, ours, engine in rounds
        )
    return figures


def taken_in_turns(contestants: list[Contestant]) -> tuple[list[list[Turn]], Load]:
    """Return rounds of one turn each, and one client alone with the second contestant.

    Servers have a core; the load, databases and brokers have the other.
    """
    with on_core(1), contextlib.ExitStack() as stack:
        stages = [stack.enter_context(opened(each)) for each in contestants]
        for stage in stages:
            stage.start(works=False, pinned=True)
        for stage in stages:
            turn(stage, WARM_UP)
        rounds = [[turn(stage) for stage in stages] for _ in range(ROUNDS)]
        return rounds, load(stages[1], connections=1, seconds=0.5)


def run(contestant: Contestant) -> dict[str, float]:
    """With the worker on: how soon a client knows, how many no-ops a second run, what idling costs."""
    with opened(contestant) as stage:
        stage.start(works=True)
        until_works(stage)
        idle = idling(stage)
        waits = []
        for _ in range(10):
            began = time.perf_counter()
            _, answer = stage.call("POST", "/submit", BODY)
            while not stage.known(str(answer["id"])):
                time.sleep(0.002)
            waits.append(1000 * (time.perf_counter() - began))
        before = len(stage.effects)
        began = time.monotonic()
        wanted = accepted(load(stage, connections=32, seconds=3.0))
        end = time.monotonic() + DRAIN_PATIENCE
        while len(stage.effects) - before < wanted and time.monotonic() < end:
            time.sleep(0.05)
        ran = stage.effects[before:]
        return idle | {
            "known_p50_ms": statistics.median(waits),
            "noops_per_second": len(ran) / (max(at for _, _, at in ran) - began),
            "noops_drained": float(len(ran) >= wanted),
        }


def until_works(stage: Stage) -> None:
    """Wait until one job has run: worker programs take a while to come up."""
    _, answer = stage.call("POST", "/submit", BODY)
    end = time.monotonic() + 30
    while not stage.known(str(answer["id"])):
        if time.monotonic() > end:
            raise SystemExit(f"{stage.contestant.name} never ran its first job: {stage.log()}")
        time.sleep(0.02)


def idling(stage: Stage) -> dict[str, float]:
    """Measure four seconds of nothing: share of a core, and memory, of all its own processes."""
    time.sleep(1.0)
    before, began = stage.spent(), time.monotonic()
    time.sleep(4.0)
    share = (stage.spent() - before) / (time.monotonic() - began)
    memory = sum(process.memory_full_info().pss for process in stage.family())
    return {"idle_cpu_percent": 100 * share, "memory_mib": memory / 2**20, "processes": float(len(stage.family()))}


def survive(contestant: Contestant) -> dict[str, str]:
    """KILL everything of the contestant, but not its broker or database, and start it again."""
    return {"waiting": revived(contestant, waiting=True), "running": revived(contestant, waiting=False)}


def revived(contestant: Contestant, *, waiting: bool) -> str:
    """Return what became of ten accepted jobs, killed before they began or while they ran."""
    jobs: dict[str, str] = {}
    with opened(contestant) as stage:
        stage.start(works=not waiting)
        if not waiting:
            until_works(stage)
        for number in range(10):
            _, answer = stage.call("POST", f"/slow/job-{number}")
            jobs[f"job-{number}"] = str(answer["id"])
        end = time.monotonic() + 10
        while not waiting and not any(mark in jobs for mark, _, _ in stage.effects) and time.monotonic() < end:
            time.sleep(0.01)
        stage.kill()
        stage.start(works=True)
        began = time.monotonic()
        while ended(stage, jobs) < len(jobs) and time.monotonic() < began + REVIVAL_PATIENCE:
            time.sleep(0.1)
        took = time.monotonic() - began
        done = ended(stage, jobs)
        time.sleep(1.0)  # the last result is written
        known = sum(stage.known(job) is True for job in jobs.values())
    if done == known == len(jobs):
        return f"yes, in {took:.0f} s"
    return f"no: {done} of {len(jobs)} ran, {known} known as done after {REVIVAL_PATIENCE:.0f} s"


def ended(stage: Stage, jobs: dict[str, str]) -> int:
    return len({mark for mark, phase, _ in stage.effects if phase == "end" and mark in jobs})


def machine() -> dict[str, object]:
    """Say what was measured on."""
    return {"cores": psutil.cpu_count(), "memory_gib": round(psutil.virtual_memory().total / 2**30, 1)}
