"""A server with an operator's page, and who asks it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2
import pytest

from tests.dashboard.tabs import Tab
from tests.readers import chromium
from tests.readers.serving import Server

HERE = Path(__file__).resolve().parent
API = "/api/dashboard/api"
MARK = {"X-Raincheck-Dashboard": "1"}


@dataclass
class Asking:
    """Asks the page's routes in a role."""

    server: Server
    role: str | None

    def request(self, method: str, path: str, *, marked: bool = True, **options: Any) -> httpx2.Response:
        """Send a request as the page does."""
        headers = {**(MARK if marked else {}), **options.pop("headers", {})}
        if self.role is not None:
            headers["X-Role"] = self.role
        return self.server.client.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Any:
        """Return the JSON of an answer."""
        answer = self.request("GET", API + path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **options: Any) -> Any:
        """Return the JSON of an answer."""
        answer = self.request("POST", API + path, **options)
        assert answer.status_code < 300, answer.text
        return answer.json()


def submitted(
    server: Server, path: str, *, owner: str = "ada", metadata: str | None = None, hook: str = "", **options: Any
) -> str:
    """Submit to the application's own route and return the id."""
    headers = {"X-Caller": owner, **({"Operation-Metadata": metadata} if metadata else {})}
    headers |= {"Callback-Url": hook} if hook else {}
    return server.submit(path, headers=headers, **options)


def ended(server: Server, operation_id: str, *, owner: str = "ada") -> dict[str, Any]:
    """Wait until it is done."""
    found = server.client.get(
        f"/api/operations/{operation_id}", params={"wait": 50}, headers={"X-Caller": owner}
    ).json()
    assert found["done"], found
    return dict(found)


def disabled(server: Server, url: str) -> None:
    """Leave an endpoint as it is after five days of failures."""
    with contextlib.closing(sqlite3.connect(server.folder / "operations.db", isolation_level=None)) as store:
        store.execute(
            "INSERT OR REPLACE INTO endpoints VALUES (?, 1760000000000, 1760500000000, 1760500000000, ?)",
            (url, "it failed for 5 days"),
        )


def fresh() -> str:
    """Return a name that no other test uses."""
    return f"n{uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve the application, shared by a module's tests."""
    started = Server(tmp_path_factory.mktemp("dashboard"), home=HERE)
    yield started
    started.kill()


@pytest.fixture
def operator(server: Server) -> Asking:
    """Ask as somebody who may act."""
    return Asking(server, "operator")


@pytest.fixture
def viewer(server: Server) -> Asking:
    """Ask as somebody who may look."""
    return Asking(server, "viewer")


@pytest.fixture(scope="module")
def browser():
    """Chromium, where it is installed."""
    if why := chromium.missing():
        pytest.skip(why)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium.EXECUTABLE, args=chromium.ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def tab(browser, server):
    """A tab of an operator; whatever the test does, the page complains of nothing and asks nobody else."""
    opened = Tab(browser, server)
    yield opened
    opened.close()
    assert opened.complaints == []
    assert {urlsplit(url).netloc for url in opened.asked if url.startswith("http")} == {f"127.0.0.1:{server.port}"}
