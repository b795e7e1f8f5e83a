"""``python -m benchmarks [name …]``: measure, print, and write benchmarks/results.json."""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path

from benchmarks import (
    accept,
    capacity,
    drivers,
    engines,
    long_tab,
    million,
    page,
    ping,
    postgres,
    runs,
    shutdown,
    streams,
    webhooks,
)

ALL = {
    "accept": accept.measure,
    "runs": runs.measure,
    "postgres": postgres.measure,
    "ping": ping.measure,
    "shutdown": shutdown.measure,
    "streams": streams.measure,
    "webhooks": webhooks.measure,
}
# Minutes, gigabytes, a browser, or packages of others: only where it is named.
SLOW = {
    "capacity": capacity.measure,
    "drivers": drivers.measure,
    "engines": engines.measure,
    "million": million.measure,
    "million-postgres": million.measure_postgres,
    "page": page.measure,
    "long_tab": long_tab.measure,
}
RESULTS = Path(__file__).with_name("results.json")


def main(names: list[str]) -> None:
    """Measure what is named, all without names."""
    unknown = [name for name in names if name not in ALL | SLOW]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; choose from {', '.join(ALL | SLOW)}")
    figures: dict[str, object] = {"python": platform.python_version(), "measured": time.strftime("%Y-%m-%d")}
    for name in names or ALL:
        print(name)
        figures |= (ALL | SLOW)[name]()
    print(json.dumps(figures, indent=2))
    if not names:
        RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
