"""When the parts start and stop, and what is said when they cannot."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from raincheck import ConfigurationError, NotStarted, Raincheck, Settings
from raincheck.core.dispatch_rules import Terms
from raincheck.executors.thread import ThreadExecutor


def application(**options: object) -> tuple[FastAPI, Raincheck]:
    """Return an application with one operation."""
    app = FastAPI()
    rain = Raincheck(app, store="memory:", **options)  # type: ignore[arg-type]

    @rain.post("/double")
    async def double(number: int) -> int:
        return 2 * number

    return app, rain


def doubled(client: TestClient) -> object:
    """Run the operation and return what it answered."""
    return client.post("/double?number=21", headers={"Prefer": "wait=10"}).json()


def test_without_the_lifespan_the_first_request_says_what_to_do() -> None:
    """A TestClient that is not entered runs no lifespan."""
    app, _ = application()
    with pytest.raises(NotStarted, match=r"with TestClient\(app\)"):
        TestClient(app).post("/double?number=1")


def test_a_mounted_application_says_that_servers_do_not_run_its_lifespan() -> None:
    """The remedy is in the message."""
    inner, _ = application()
    outer = FastAPI()
    outer.mount("/inner", inner)
    with TestClient(outer) as client, pytest.raises(NotStarted, match="mounted"):
        client.post("/inner/double?number=1")


def test_a_mounted_application_works_with_the_remedy_and_links_lead_back() -> None:
    """The outer lifespan runs the inner one; links carry the mount path."""
    inner, _ = application()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with inner.router.lifespan_context(inner):
            yield

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/inner", inner)
    with TestClient(outer) as client:
        accepted = client.post("/inner/double?number=21")
        assert accepted.headers["location"].startswith("/inner/operations/op_")
        assert client.get(accepted.headers["location"] + "?wait=10").json()["result"] == 42


def test_the_applications_own_lifespan_surrounds_the_work() -> None:
    """What it opens is there while operations run, and its state reaches the requests."""
    order: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, str]]:
        order.append("opened")
        yield {"colour": "blue"}
        order.append("closed")

    app = FastAPI(lifespan=lifespan)
    rain = Raincheck(app, store="memory:")

    @rain.post("/work")
    async def work() -> str:
        order.append("worked")
        return "done"

    with TestClient(app) as client:
        client.post("/work", headers={"Prefer": "wait=10"})
        assert client.app_state == {"colour": "blue"}
    assert order == ["opened", "worked", "closed"]


def test_entered_twice_it_starts_once() -> None:
    """A lifespan that is merged into another one may be entered again."""
    app, rain = application()

    @contextlib.asynccontextmanager
    async def twice(running: FastAPI) -> AsyncIterator[None]:
        async with rain.running(running), rain.running(running):
            yield

    app.router.lifespan_context = twice
    with TestClient(app) as client:
        assert doubled(client) == 42


def test_an_application_can_be_started_again() -> None:
    """As test suites do."""
    app, _ = application()
    for _ in range(2):
        with TestClient(app) as client:
            assert doubled(client) == 42


def test_installing_twice_is_refused() -> None:
    """One Raincheck belongs to one application."""
    app, rain = application()
    with pytest.raises(ConfigurationError, match="installed already"):
        rain.install(app)


def test_a_guard_on_submit_alone_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """It does not guard the operation routes."""

    async def guard() -> None: ...

    app = FastAPI()
    rain = Raincheck(app, store="memory:")

    @rain.post("/secret", dependencies=[Depends(guard)])
    async def secret() -> str:
        return "x"

    with caplog.at_level(logging.WARNING, "raincheck"), TestClient(app):
        assert "Pass dependencies= or owner=" in caplog.text


def test_constructing_opens_nothing(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """A child process may import the module for free."""
    monkeypatch.chdir(tmp_path)
    app = FastAPI()
    Raincheck(app)
    assert list(tmp_path.iterdir()) == []
    with TestClient(app):
        assert (tmp_path / "raincheck.db").exists()


def test_an_owner_rule_that_returns_nothing_fails_loudly() -> None:
    """An empty owner would own what nobody owns."""

    async def nobody() -> str:
        return ""

    app, _ = application(owner=nobody)
    with TestClient(app) as client, pytest.raises(ConfigurationError, match="non-empty"):
        client.post("/double?number=1")


def test_a_start_that_fails_leaves_no_lock_behind(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """A process that tries again would keep a file and a descriptor each time, of a worker that never was."""

    async def refused(*_: object) -> None:
        raise ZeroDivisionError

    app = FastAPI()
    Raincheck(app, store=f"sqlite:///{tmp_path}/here.db")
    monkeypatch.setattr(ThreadExecutor, "start", refused)
    with pytest.raises(ZeroDivisionError), TestClient(app):
        pass
    assert list((tmp_path / "here.db.d" / "workers").iterdir()) == []


class Restless:
    """An engine that brings nothing and fails at the end."""

    name, terms, transactional, hosts_workers, prioritises = "restless", Terms(delays=False), False, True, False

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        async def step(*_: object, **__: object) -> None:
            if name == "rest":
                raise ConnectionError("its server went away")

        return step

    def attach(self, enter: object) -> None:
        """Need nothing."""


def test_an_engine_that_fails_at_the_end_keeps_no_work_from_being_handed_back(caplog: pytest.LogCaptureFixture) -> None:
    """Else what runs would wait for the end of its lease, and count as lost."""
    app = FastAPI()
    rain = Raincheck(app, store="memory:", engine=Restless(), settings=Settings(drain="10ms"))  # type: ignore[arg-type]
    begun, ends = threading.Event(), []

    @rain.post("/endless")
    async def endless() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ends.append("interrupted")

    with TestClient(app) as client:
        client.post("/endless")
        assert begun.wait(10)
    assert ends == ["interrupted"]
    assert "restless did not come to rest" in caplog.text
