"""Fuzz the test applications: ``python -m tests.openapi.fuzz [cases]``, 1,000 cases an endpoint by default.

Each application is served by a real uvicorn, and every check of schemathesis is on. It takes a while; the seed is
printed at the end of each run, and ``--seed`` repeats it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.openapi.server import ROOT, served

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
PHASES = ("examples", "coverage", "fuzzing", "stateful")


def command(url: str, *, phases: tuple[str, ...], cases: int, seed: int | None = None) -> list[str]:
    """Return the command that tests the application at a URL."""
    schemathesis = Path(sys.executable).with_name("schemathesis")
    found = [str(schemathesis), "--config-file", str(CONFIGURATION), "run", f"{url}/openapi.json"]
    found += ["--phases", ",".join(phases), "--max-examples", str(cases)]
    return found if seed is None else [*found, "--seed", str(seed)]


def main() -> int:
    """Fuzz the application without and with owners; return 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", choices=["open", "owned"])
    chosen = parser.parse_args()
    worst = 0
    for name, owned in (("open", False), ("owned", True)):
        if chosen.only not in (None, name):
            continue
        print(f"--- {name}: {chosen.cases} cases an endpoint", flush=True)  # noqa: T201 - says which run this is
        with served(owned=owned) as url:
            # A stateful case is a sequence of up to six requests, so a tenth of them is as much work.
            for phases, cases in ((PHASES[:3], chosen.cases), (PHASES[3:], max(1, chosen.cases // 10))):
                line = command(url, phases=phases, cases=cases, seed=chosen.seed)
                worst = max(worst, subprocess.run(line, cwd=ROOT, check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
