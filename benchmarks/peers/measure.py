"""The measurements, the same for each contestant."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.load import Load, generate, request_bytes
from benchmarks.peers.contestants import BARE, Contestant, Stage, staged
from benchmarks.server import pin

ROUNDS = 9
SECONDS = 0.5
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


def accept(contestant: Contestant) -> dict[str, float]:
    """Interleave a bare endpoint and the contestant, A B A B; work is switched off where it can be."""
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd()) as first,
        tempfile.TemporaryDirectory(dir=Path.cwd()) as second,
        staged(BARE, Path(first)) as bare,
        staged(contestant, Path(second)) as stage,
    ):
        bare.start(works=False, pinned=True)
        stage.start(works=False, pinned=True)
        pin(1)
        for each in (bare, stage):
            load(each, connections=64, seconds=0.5)
        rounds = [(load(bare, connections=64), load(stage, connections=64)) for _ in range(ROUNDS)]
        pairs = [tuple(accepted(each) / each.seconds for each in both) for both in rounds]
        refused = 1 - sum(accepted(ours) for _, ours in rounds) / sum(len(ours.latencies) for _, ours in rounds)
        alone = load(stage, connections=1, seconds=1.5)
        return {
            "accept_ratio": statistics.median(ours / theirs for theirs, ours in pairs),
            "accepts_per_second": statistics.median(ours for _, ours in pairs),
            "bare_per_second": statistics.median(theirs for theirs, _ in pairs),
            "accept_p50_ms": alone.median,
            "refused_percent": 100 * refused,
        }


def run(contestant: Contestant) -> dict[str, float]:
    """With the worker on: how soon a client knows, how many no-ops a second run, what idling costs."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, staged(contestant, Path(folder)) as stage:
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
            raise SystemExit(f"{stage.contestant.name} never ran its first job: {stage.folder}")
        time.sleep(0.02)


def idling(stage: Stage) -> dict[str, float]:
    """Measure four seconds of nothing: share of a core, and memory, of all its own processes."""
    time.sleep(1.0)

    def spent() -> float:
        times = [process.cpu_times() for process in stage.family()]
        return sum(each.user + each.system for each in times)

    before, began = spent(), time.monotonic()
    time.sleep(4.0)
    share = (spent() - before) / (time.monotonic() - began)
    memory = sum(process.memory_full_info().pss for process in stage.family())
    return {"idle_cpu_percent": 100 * share, "memory_mib": memory / 2**20, "processes": float(len(stage.family()))}


def survive(contestant: Contestant) -> dict[str, str]:
    """KILL everything of the contestant, but not its broker or database, and start it again."""
    return {"waiting": revived(contestant, waiting=True), "running": revived(contestant, waiting=False)}


def revived(contestant: Contestant, *, waiting: bool) -> str:
    """Return what became of ten accepted jobs, killed before they began or while they ran."""
    jobs: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, staged(contestant, Path(folder)) as stage:
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
