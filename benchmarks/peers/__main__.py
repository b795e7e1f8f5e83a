"""Compare: ``python -m benchmarks.peers [--only NAME…] [--part accept|run|survive]…``; `make bench-peers` does all."""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

from benchmarks.peers import measure, render
from benchmarks.peers.contestants import ALL, BARE, Contestant
from benchmarks.peers.stage import version

RESULTS = Path(__file__).with_name("results.json")
PARTS = {"accept": measure.accept, "run": measure.run, "survive": measure.survive}


def main() -> None:
    """Measure, add to the results, and render them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[each.name for each in ALL])
    parser.add_argument("--part", nargs="*", default=list(PARTS), choices=list(PARTS))
    chosen = parser.parse_args()
    for contestant in ALL:
        if contestant.name not in chosen.only:
            continue
        for part in chosen.part:
            if contestant is BARE and part != "accept":
                continue
            began = time.monotonic()
            figures = PARTS[part](contestant)
            took = time.monotonic() - began
            print(f"{contestant.name}: {part} {json.dumps(figures)} ({took:.0f} s)", flush=True)
            keep(contestant, figures)
    render.write(json.loads(RESULTS.read_text()))


def keep(contestant: Contestant, figures: dict[str, object]) -> None:
    """Add figures to the file at once, so that an interrupted run has measured something."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"contestants": {}}
    results["machine"] = measure.machine() | {"python": platform.python_version()}
    results["measured"] = time.strftime("%Y-%m-%d")
    entry = results["contestants"].setdefault(contestant.name, {})
    entry |= figures | {"version": version(contestant), "keeps": contestant.keeps}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
