"""Longer storms by hand: ``python -m tests.chaos --rounds 20 --seed 1``."""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.driver import Scene
from tests.chaos.storm import storm


def main() -> None:
    """Run storms, one after the other, and print what happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--kills", type=int, default=8, help="kills in each round")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are ended too
    kills, accepted, dark, reruns = 0, 0, 0, 0
    takeovers: list[float] = []
    for number in range(chosen.rounds):
        seed = chosen.seed + number
        with tempfile.TemporaryDirectory(prefix="raincheck-chaos-") as folder:
            scene = Scene(Path(folder), deaf=number % 2 == 1)
            try:
                report = storm(scene, seed=seed, kills=chosen.kills)
            finally:
                scene.close()
        kills += report.kills
        accepted += report.accepted
        dark += report.in_the_dark
        reruns += report.reruns
        takeovers += report.takeovers
        took = f"{statistics.median(takeovers):.2f} s, at most {max(takeovers):.2f} s" if takeovers else "not measured"
        print(  # noqa: T201 - a manual run shows its progress
            f"round {number + 1}/{chosen.rounds} seed {seed}{' deaf' if scene.deaf else ''}: {kills} kills, "
            f"{accepted} accepted = finished, {dark} unanswered and settled by key, {reruns} ran again; "
            f"takeover median {took}",
            flush=True,
        )


if __name__ == "__main__":
    main()
