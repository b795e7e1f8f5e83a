"""Chromium through Playwright, where both are installed."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
EXECUTABLE = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def missing() -> str | None:
    """Say what is missing."""
    if not Path(EXECUTABLE).exists():
        return "Chromium is not installed"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return None


@contextlib.contextmanager
def page(url: str, **options: Any) -> Iterator[Any]:
    """Open a page in a browser of its own, with options of its context."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=ARGUMENTS)
        try:
            opened = browser.new_page(**options)
            opened.set_default_timeout(60_000)
            opened.goto(url)
            opened.add_script_tag(content=(HERE / "browser_reader.js").read_text())
            yield opened
        finally:
            browser.close()


def read_event_source(port: int, operation_id: str, name: str) -> list[tuple[str, str, str]]:
    """Read with the browser's EventSource."""
    with page(f"http://127.0.0.1:{port}/page") as opened:
        url = f"/operations/{operation_id}/events?after=0&reader={name}"
        return [tuple(event) for event in opened.evaluate(f"readEventSource({json.dumps(url)})")]


def read_web_socket(port: int, operation_id: str, name: str) -> list[tuple[str, str, str]]:
    """Read with the browser's WebSocket."""
    with page(f"http://127.0.0.1:{port}/page") as opened:
        url = f"ws://127.0.0.1:{port}/operations/ws?reader={name}"
        call = f"readWebSocket({json.dumps(url)}, {json.dumps(operation_id)})"
        return [tuple(event) for event in opened.evaluate(call)]


READERS = {"chromium-eventsource": read_event_source, "chromium-websocket": read_web_socket}
