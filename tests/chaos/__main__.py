"""Longer storms by hand: ``make chaos ARGS="--rounds 20 --seed 1"``, or ``python -m tests.chaos`` without the tests."""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos.driver import Scene
from tests.chaos.storm import BLOWS, storm
from tests.postgres.outages import Report, outages
from tests.postgres.server import PostgresServer


def main() -> None:
    """Run storms, one after the other, and print what happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--blows", type=int, default=8, help="in each round")
    parser.add_argument("--only", choices=sorted(set(BLOWS)), help="one kind of blow instead of all")
    parser.add_argument(
        "--stops", type=int, default=0, help="instead: stop a PostgreSQL server so often, as a crash does"
    )
    parser.add_argument("--operations", type=int, default=1000, help="with --stops: how many are accepted at least")
    parser.add_argument("--apart", type=float, default=8.0, help="with --stops: seconds between two, at most")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no round after so many seconds")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are ended too
    if chosen.stops:
        print(_outages(chosen))  # noqa: T201 - what it is run for
    else:
        _storms(chosen)


def _outages(chosen: argparse.Namespace) -> Report:
    database = PostgresServer(durable=True)
    with tempfile.TemporaryDirectory(prefix="raincheck-chaos-") as folder:
        scene = Scene(Path(folder), database_url=f"{database.url()}?schema=outages")
        try:
            return outages(
                scene,
                database,
                seed=chosen.seed,
                operations=chosen.operations,
                stops=chosen.stops,
                apart=(min(1.0, chosen.apart), chosen.apart),
            )
        finally:
            scene.close()
            database.close()


def _storms(chosen: argparse.Namespace) -> None:
    began = time.monotonic()
    blows: Counter[str] = Counter()
    accepted, dark, reruns = 0, 0, 0
    takeovers: list[float] = []
    for number in range(chosen.rounds):
        if time.monotonic() - began > chosen.seconds:
            break
        seed = chosen.seed + number
        with tempfile.TemporaryDirectory(prefix="raincheck-chaos-") as folder:
            scene = Scene(Path(folder), deaf=number % 2 == 1)
            try:
                kinds = BLOWS if chosen.only is None else (chosen.only,)
                report = storm(scene, seed=seed, blows=chosen.blows, kinds=kinds)
            finally:
                scene.close()
        blows.update(report.blows)
        accepted += report.accepted
        dark += report.in_the_dark
        reruns += report.reruns
        takeovers += report.takeovers
        took = f"{statistics.median(takeovers):.2f} s, at most {max(takeovers):.2f} s" if takeovers else "not measured"
        struck = ", ".join(f"{count} {blow}" for blow, count in sorted(blows.items()))
        print(  # noqa: T201 - a manual run shows its progress
            f"round {number + 1}/{chosen.rounds} seed {seed}{' deaf' if scene.deaf else ''}: {struck}; "
            f"{accepted} accepted = finished, {dark} unanswered and settled by key, {reruns} ran again; "
            f"takeover after a kill: median {took}",
            flush=True,
        )


if __name__ == "__main__":
    main()
