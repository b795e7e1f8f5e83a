"""A tab of the operator's page that is left open while work goes on: what it and its connections hold, each minute."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path

import psutil

from tests.dashboard.conftest import HERE
from tests.dashboard.gauge import Gauge, Held
from tests.dashboard.test_long_tab import ROUND
from tests.dashboard.test_page import Tab
from tests.readers import chromium
from tests.readers.serving import Server

MINUTES = float(os.environ.get("LONG_TAB_MINUTES", "20"))
PAUSE = 5.0  # seconds on the list, which is live, between two rounds of all views


def measure() -> dict[str, float]:
    """Return what the tab holds after the first minute and after the last one."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it is absent on machines without a browser

    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, sync_playwright() as playwright:
        server = Server(Path(folder), home=HERE)
        stopping = threading.Event()
        working = threading.Thread(target=_work, args=(server, stopping))
        working.start()
        browser = playwright.chromium.launch(executable_path=chromium.EXECUTABLE, args=chromium.ARGUMENTS)
        try:
            tab = Tab(browser, server)
            looks = _watched(tab, server)
            if tab.complaints:
                raise SystemExit(f"the page complained: {tab.complaints}")
        finally:
            stopping.set()
            working.join()
            browser.close()
            server.kill()
    first, last = looks[0], looks[-1]
    return {
        "tab_minutes": MINUTES,
        "tab_heap_first_mib": first.heap / 2**20,
        "tab_heap_last_mib": last.heap / 2**20,
        "tab_heap_most_mib": max(each.heap for each in looks) / 2**20,
        "tab_listeners_growth": last.listeners - first.listeners,
        "tab_nodes_growth": last.nodes - first.nodes,
        "tab_requests_last": last.requests,
    }


def _watched(tab: Tab, server: Server) -> list[Held]:
    page = tab.go("operations")
    gauge = Gauge(page)
    looks: list[Held] = []
    ending = time.monotonic() + MINUTES * 60
    minute = time.monotonic() + 60
    rounds = 0
    while time.monotonic() < ending:
        page.evaluate(ROUND, 1)
        rounds += 1
        page.get_by_role("navigation").get_by_role("link", name="Operations").click()
        page.wait_for_timeout(PAUSE * 1000)
        if time.monotonic() > minute or time.monotonic() > ending:
            minute += 60
            looks.append(gauge.look())
            print(f"  {len(looks):3} min, {rounds} rounds: {looks[-1]}; {_connections(server)} connections", flush=True)
    return looks


def _connections(server: Server) -> int:
    """Return how many connections the server has: the browser's and those of whoever submits."""
    return sum(
        connection.status == psutil.CONN_ESTABLISHED
        for connection in psutil.Process(server.pid).net_connections("tcp")
        if connection.laddr.port == server.port
    )


def _work(server: Server, stopping: threading.Event) -> None:
    number = 0
    while not stopping.wait(0.5):
        number += 1
        server.client.post("/drawings", json={"steps": 50, "fails": number % 10 == 0}).raise_for_status()
