"""Durable accept against a bare FastAPI endpoint and against a bare sketch, interleaved: ratios and latency."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
from pathlib import Path

from benchmarks.load import Load, generate, request_bytes
from benchmarks.server import pin, serving

ROUNDS = 6
SECONDS = 3.0
PATHS = (("/bare", "/accept"), ("/bare-after", "/accept-before"))
WITH_DEPENDENCY = ("/bare-dependency", "/accept-dependency")
BODY = json.dumps(
    {
        "customer": "c-1042",
        "lines": [{"sku": f"SKU-{n:05}", "quantity": n, "price": 9.5} for n in range(16)],
        "note": "",
    }
).encode()


def measure(**settings: str) -> dict[str, float]:
    """Return the figures; the load runs on the other core.

    :param settings: environment of the server, such as ``RAINCHECK_STORE``; a SQLite file without it.
    """
    pin(1)
    pairs = [[request_bytes("POST", path, BODY) for path in pair] for pair in PATHS]
    sketch, (bare, durable) = request_bytes("POST", "/sketch", BODY), pairs[0]
    dependent = [request_bytes("POST", path, BODY) for path in WITH_DEPENDENCY]
    ratios: list[float] = []
    of_dependent: list[float] = []
    of_sketch: list[float] = []
    rates: list[float] = []
    unbounded = {"RAINCHECK_WORKERS": "false", "RAINCHECK_MAX_QUEUED": "10000000", **settings}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, serving(Path(folder), **unbounded) as port:

        def run(request: bytes, connections: int, seconds: float) -> Load:
            return asyncio.run(generate(port, request, connections=connections, seconds=seconds))

        run(bare, 64, 1.0)
        run(durable, 64, 1.0)
        for number in range(ROUNDS):
            requests = (*pairs[number % 2], sketch, *dependent)
            plain, made, least, asking, known = (run(request, 64, SECONDS) for request in requests)
            assert set(plain.statuses) == set(asking.statuses) == {200}, (plain.statuses, asking.statuses)
            accepted = [each.statuses for each in (made, least, known)]
            assert all(set(statuses) == {202} for statuses in accepted), accepted
            of_dependent.append(known.rate / asking.rate)
            ratios.append(made.rate / plain.rate)
            of_sketch.append(made.rate / least.rate)
            rates.append(made.rate)
            print(
                f"  round {number + 1}: bare {plain.rate:,.0f}/s, sketch {least.rate:,.0f}/s, "
                f"durable {made.rate:,.0f}/s, ratio {ratios[-1]:.2f}, of the sketch {of_sketch[-1]:.2f}, "
                f"with a dependency {of_dependent[-1]:.2f}"
            )
        alone, lone_bare = run(durable, 1, SECONDS), run(bare, 1, SECONDS)
    return {
        "accept_ratio": statistics.median(ratios),
        "accept_of_sketch": statistics.median(of_sketch),
        "accept_ratio_with_dependency": statistics.median(of_dependent),
        "accepts_per_second": statistics.median(rates),
        "accept_p50_ms_one_client": alone.median,
        "bare_p50_ms_one_client": lone_bare.median,
    }
