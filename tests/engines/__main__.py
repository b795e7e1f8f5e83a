"""The contract and the chaos suite on every store with every engine: ``python -m tests.engines [BACKEND…]``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.engines.backends import BACKENDS

ROOT = Path(__file__).resolve().parents[2]
SUITES = ("tests/contract", "tests/chaos")
PYTEST = ("-m", "pytest", "-q", "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")


def main() -> None:
    """Run both suites on each backend, go on where one fails, and end with a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.engines", description=__doc__)
    parser.add_argument("backends", nargs="*", metavar="BACKEND", help=f"some of: {', '.join(BACKENDS)}; all without")
    chosen = parser.parse_args().backends or BACKENDS
    if unknown := set(chosen) - set(BACKENDS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; use some of {', '.join(BACKENDS)}")
    lines, failed = [], False
    for backend in chosen:
        say(f"== {backend}")
        began = time.monotonic()
        environment = {**os.environ, "BACKEND": backend}
        status = subprocess.run([sys.executable, *PYTEST, *SUITES], cwd=ROOT, env=environment, check=False).returncode
        failed |= status != 0
        lines.append(f"{backend:30} {'failed' if status else 'passed'} in {time.monotonic() - began:.0f} s")
    say("\n".join(["", *lines]))
    sys.exit(failed)


def say(line: str) -> None:
    """Print at once, before what pytest prints."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
