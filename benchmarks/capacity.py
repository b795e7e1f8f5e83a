"""What one machine holds: accept, poll and claim against finished operations; memory against idle readers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from benchmarks.load import Load, generate, request_bytes
from benchmarks.plots import plotted, put_between
from benchmarks.readers import most_connections, stream_readers
from benchmarks.server import ROOT, pin, serving
from benchmarks.streams import IDLE

FINISHED = (0, 10_000, 100_000, 1_000_000)
READERS = (0, 500, 1_000, 2_000, 4_000, 8_000)
ROUNDS = 3
SECONDS = 1.0
IMAGES = ROOT / "docs" / "images"
BEGIN, END = "<!-- capacity: written by `python -m benchmarks capacity` -->", "<!-- end of capacity -->"
RESULTS = Path(__file__).with_name("capacity.json")


def measure() -> dict[str, object]:
    """Measure both curves, keep them, and draw them."""
    figures: dict[str, object] = {"measured": time.strftime("%Y-%m-%d")}
    figures["finished"] = [with_finished(number) for number in FINISHED]
    figures["readers"] = idle_readers()
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")
    draw(figures)
    put_between(ROOT / "docs" / "capacity.md", BEGIN, END, table(figures))
    return figures


def call(port: int, method: str, path: str, headers: dict[str, str] | None = None) -> dict[str, object]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, headers=headers or {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.loads(answer.read()))


def with_finished(number: int) -> dict[str, float]:
    """Return what requests cost while so many finished operations are kept."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        database = Path(folder) / "bench.db"
        with serving(Path(folder)) as port:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/noop", method="POST", headers={"Prefer": "wait=10"}
            )
            with urllib.request.urlopen(request) as answer:
                kept = str(answer.headers["Location"] or answer.headers["Content-Location"]).rpartition("/")[2]
        fill(database, number)
        with serving(Path(folder), RAINCHECK_MAX_QUEUED="10000000") as port:
            pin(1)
            poll = request_bytes("GET", f"/operations/{kept}")
            run = request_bytes("POST", "/noop", headers={"Prefer": "wait=10", "Content-Length": "0"})

            def load(request: bytes, connections: int) -> Load:
                return asyncio.run(generate(port, request, connections=connections, seconds=SECONDS))

            for request in (poll, run):
                load(request, 32)
            polls = [load(poll, 32).rate for _ in range(ROUNDS)]
            runs = [load(run, 64).rate for _ in range(ROUNDS)]
            alone = load(run, 1)
        with serving(Path(folder), RAINCHECK_MAX_QUEUED="10000000", RAINCHECK_WORKERS="false") as port:
            accept = request_bytes("POST", "/noop", headers={"Content-Length": "0"})
            load(accept, 32)
            accepts = [load(accept, 64).rate for _ in range(ROUNDS)]
            lone = load(accept, 1)
        found = {
            "finished": float(number),
            "file_mib": database.stat().st_size / 2**20,
            "accepts_per_second": statistics.median(accepts),
            "accept_p50_ms": lone.median,
            "polls_per_second": statistics.median(polls),
            "noops_per_second": statistics.median(runs),
            "known_p50_ms": alone.median,
        }
        print(f"  {number:,} finished: {json.dumps(found)}", flush=True)
        return found


def fill(database: Path, number: int) -> None:
    """Multiply the one finished operation of a file; ids and moments differ, everything else is the same."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(operations)")]
        own = {"id": "printf('op_%032d', n.value)", "created_at": "created_at - n.value"}
        values = ", ".join(own.get(column, column) for column in columns)
        connection.execute(
            f"WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < ?) "
            f"INSERT INTO operations ({', '.join(columns)}) SELECT {values} FROM n, "
            f"(SELECT * FROM operations WHERE finished_at IS NOT NULL LIMIT 1) WHERE ? > 0",
            (number, number),
        )
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def idle_readers() -> list[dict[str, float]]:
    """Return the memory and the share of a core that idle event streams cost one server."""
    most = most_connections()
    found = []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, serving(Path(folder)) as port:
        server = psutil.Process(int(str(json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}/process").read()))))
        operation = str(call(port, "POST", "/broadcasts")["id"])

        async def grow() -> None:
            crowd = stream_readers(port, operation)
            for number in (each for each in READERS if each <= most):
                await crowd.grow(number)
                await asyncio.sleep(1)
                before, began = sum(server.cpu_times()[:2]), time.monotonic()
                await asyncio.sleep(IDLE)
                share = (sum(server.cpu_times()[:2]) - before) / (time.monotonic() - began)
                memory = server.memory_info().rss / 2**20
                found.append({"readers": float(number), "rss_mib": memory, "cpu_percent": 100 * share})
                print(f"  {found[-1]}", flush=True)
            crowd.close()

        asyncio.run(grow())
        call(port, "POST", f"/operations/{operation}/cancel")
    return found


def table(figures: dict[str, object]) -> str:
    """Return the curves as tables."""
    finished, readers = figures["finished"], figures["readers"]
    assert isinstance(finished, list)
    assert isinstance(readers, list)
    lines = [
        f"Measured {figures['measured']} on {psutil.cpu_count()} cores, one server on one of them.",
        "",
        "64 callers at once, 32 for polls.",
        "",
        "| finished operations kept | file | accepts/s | accept p50 | polls/s | run and known/s | known p50 |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each['finished']:,.0f} | {each['file_mib']:,.0f} MiB | {each['accepts_per_second']:,.0f} "
        f"| {each['accept_p50_ms']:.1f} ms | {each['polls_per_second']:,.0f} | {each['noops_per_second']:,.0f} "
        f"| {each['known_p50_ms']:.1f} ms |"
        for each in finished
    ]
    lines += ["", "![Requests a second against finished operations](images/capacity-finished.svg)", ""]
    lines += ["| idle event streams | memory of the server | share of a core |", "|---|---|---|"]
    lines += [
        f"| {each['readers']:,.0f} | {each['rss_mib']:,.0f} MiB | {each['cpu_percent']:.1f} % |" for each in readers
    ]
    lines += ["", "![Memory against idle event streams](images/capacity-readers.svg)"]
    return "\n".join(lines)


def draw(figures: dict[str, object]) -> None:
    """Draw both curves for the documentation."""
    finished, readers = figures["finished"], figures["readers"]
    assert isinstance(finished, list)
    assert isinstance(readers, list)
    with plotted(IMAGES / "capacity-finished.svg", size=(7.5, 3.4)) as (axes, ink):
        names = [f"{each['finished']:,.0f}" for each in finished]
        axes.plot(names, [each["accepts_per_second"] for each in finished], "o-", color=ink.ours, label="accepts/s")
        axes.plot(names, [each["polls_per_second"] for each in finished], "s-", color=ink.others, label="polls/s")
        axes.plot(
            names, [each["noops_per_second"] for each in finished], "^-", color=ink.third, label="run and known/s"
        )
        axes.set_xlabel("finished operations kept in the file")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
    with plotted(IMAGES / "capacity-readers.svg", size=(7.5, 3.0)) as (axes, ink):
        axes.plot([each["readers"] for each in readers], [each["rss_mib"] for each in readers], "o-", color=ink.ours)
        axes.set_xlabel("idle event streams")
        axes.set_ylabel("MiB of the server")
        axes.set_ylim(bottom=0)


if __name__ == "__main__":
    measure()
