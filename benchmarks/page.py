"""The operator's page in Chromium beside 1,000 and beside 100,000 operations: how long until the rows are painted."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import statistics
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from benchmarks.page_app import HOOK, KINDS
from benchmarks.server import serving
from raincheck.core.moments import milliseconds
from raincheck.core.names import RANDOM_BYTES, delivery_id, operation_id
from raincheck.core.operation import Problem
from tests.readers import chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = (1_000, 100_000)
ROUNDS = 5
_INPUT = json.dumps({"v": 1, "type": "application/json", "body": json.dumps({"order": "x" * 300})})
_RESULT = '[200, "application/json", [], null, 4, "x"]'
_ERROR = json.dumps(asdict(Problem(code="unhandled-error", title="The operation failed", status=500)))
_OPERATION = """
INSERT INTO operations (
    id, kind, owner, status, version, run, attempt, max_attempts, losses, max_losses, queue, priority, created_at,
    updated_at, run_at, started_at, finished_at, expires_at, retention, progress_version, progress_run,
    output_events, output_bytes, metadata, error, result, result_body, input
) VALUES (
    :id, :kind, :owner, :status, 3, 1, 1, 1, 0, 3, 'default', 0, :at, :end, :at, :at, :end, :at + 604800000,
    604800000, 0, 0, 0, 0, :metadata, :error, :result, x'6e756c6c', :input
)
"""
_DELIVERY = """
INSERT INTO deliveries (id, operation, source, url, receiver, event, version, created_at, due_at, status, run, tries,
    log, finished_at)
VALUES (:delivery, :id, 'webhook', :url, 'http://127.0.0.1:1', 'operation.succeeded', 3, :end, :end, :sent, 1, 1, '[]',
    :end)
"""
# Name of the figure, address below the page, and what is on the screen once it is there.
VIEWS = (
    ("list", "operations", "tbody tr"),
    ("list_failed", "operations?status=failed", "tbody tr"),
    ("list_kind", "operations?kind=mail", "tbody tr"),
    ("list_owner", "operations?q=owner:bo", "tbody tr"),
    ("list_metadata_of_one", "operations?q=order%3D7", "tbody tr"),
    ("list_nothing", "operations?status=cancelled", ".empty"),
    ("overview", "?minutes=1440", ".figures b"),
    ("webhooks", "webhooks?status=failed", "li a"),
)


def measure() -> dict[str, float]:
    """Return milliseconds to the rows, of an open and of a filter, and of the count before a bulk action."""
    if why := chromium.missing():
        raise SystemExit(why)
    found: dict[str, float] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            path = Path(folder) / "bench.db"
            with serving(Path(folder), "benchmarks.page_app:app", RAINCHECK_WORKERS="false"):
                pass  # makes the tables
            _fill(path, size)
            with serving(Path(folder), "benchmarks.page_app:app", pinned=False) as port:
                figures = _looked_at(port) | _counted(port)
        for name, value in figures.items():
            print(f"  {size:>7,} {name}: {value:.0f} ms", flush=True)
            found[f"page_{size}_{name}_ms"] = value
    return found


def _fill(path: Path, size: int) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for row in _rows(size):
            connection.execute(_OPERATION, row)
            connection.execute(_DELIVERY, row)
    connection.close()


def _rows(size: int) -> Iterator[dict[str, Any]]:
    """Give operations of a day: one in a thousand failed, none was cancelled."""
    chance = random.Random(1)
    began = milliseconds(datetime.now(UTC) - timedelta(hours=23))
    for number in range(size):
        at = began + number * 80_000_000 // size
        failed = number % 1000 == 7
        yield {
            "id": operation_id(milliseconds=at, entropy=os.urandom(RANDOM_BYTES)),
            "delivery": delivery_id(milliseconds=at, about=(number,)),
            "kind": chance.choice(KINDS),
            "owner": "bo" if number % 500 == 0 else "ada",
            "status": "failed" if failed else "succeeded",
            "at": at,
            "end": at + chance.randrange(50, 60_000),
            "metadata": json.dumps({"order": str(number)}),
            "error": _ERROR if failed else None,
            "result": None if failed else _RESULT,
            "input": _INPUT,
            "url": HOOK,
            "sent": "failed" if failed else "delivered",
        }


def _looked_at(port: int) -> dict[str, float]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it is absent on machines without a browser

    base = f"http://127.0.0.1:{port}/dashboard/"
    figures: dict[str, list[float]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.EXECUTABLE, args=chromium.ARGUMENTS)
        tab = browser.new_page()
        for turn in range(ROUNDS + 1):
            for name, address, there in VIEWS:
                tab.goto(base + address)
                tab.wait_for_selector(there)
                # Both frames later, so that what is in the document has been painted.
                took = tab.evaluate(
                    "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame("
                    "() => done(performance.now()))))"
                )
                if turn:  # the first one fills the browser's cache
                    figures.setdefault(name, []).append(took)
            tab.goto(base + "operations")
            tab.wait_for_selector("tbody tr")
            for name, act in (("filter_failed", "failed"), ("filter_none", "cancelled")):
                took = tab.evaluate(_CLICKED, act)
                if turn:
                    figures.setdefault(name, []).append(took)
        browser.close()
    return {name: statistics.median(values) for name, values in figures.items()}


# Click a filter, wait until the list is another one, and give the milliseconds in between.
_CLICKED = """async (name) => {
  const chip = [...document.querySelectorAll('.chip')].find((each) => each.innerText === name);
  const before = document.querySelector('table tbody')?.innerText;
  const began = performance.now();
  chip.click();
  while (document.querySelector('table tbody')?.innerText === before) await new Promise(requestAnimationFrame);
  const took = performance.now() - began;
  chip.click();
  while (document.querySelector('table tbody')?.innerText !== before) await new Promise(requestAnimationFrame);
  return took;
}"""


def _counted(port: int) -> dict[str, float]:
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}/dashboard/api", timeout=60, trust_env=False) as client:
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            client.get("/count/retry").raise_for_status()
            times.append((time.perf_counter() - began) * 1000)
    return {"count_retry": statistics.median(times)}
