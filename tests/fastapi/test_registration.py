"""What the decorators refuse, when the module is imported and not when the first request comes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from raincheck import ConfigurationError, DefinitionError, Raincheck, Retry


class Report(BaseModel):
    """A result."""

    text: str


def plain(name: str) -> Report:
    """Return a report."""
    return Report(text=name)


async def awaited(name: str) -> Report:
    """Return a report."""
    return Report(text=name)


@pytest.fixture
def rain() -> Raincheck:
    """An installed Raincheck."""
    return Raincheck(FastAPI(), store="memory:")


REFUSED: list[tuple[str, Callable[..., Any], dict[str, Any], str]] = [
    ("unknown_executor", plain, {"executor": "greenlet"}, "Use one of 'async', 'thread', 'process'"),
    ("plain_function_in_the_loop", plain, {"executor": "async"}, "Use 'thread'"),
    ("async_function_in_a_thread", awaited, {"executor": "thread"}, "Remove `async`"),
    ("kind_without_a_name", plain, {"kind": ""}, "not a name"),
    ("retry_that_is_a_number", plain, {"retry": 3}, "write retry=Retry"),
    ("timeout_without_a_unit_we_know", plain, {"timeout": "5 fortnights"}, "timeout: '5 fortnights' is not a duration"),
    ("negative_timeout", plain, {"timeout": -1}, "between 0 and 100 years"),
    ("short_retention", plain, {"retention": "1h"}, "shorter than 24 hours"),
    ("memory_limit_in_a_thread", plain, {"memory_limit": "1GiB"}, "needs executor='process'"),
    ("memory_limit_without_a_unit_we_know", plain, {"executor": "process", "memory_limit": "1 pony"}, "not a size"),
    ("no_losses_at_all", plain, {"max_losses": 0}, "at least 1"),
    ("more_losses_than_fit", plain, {"max_losses": 2**31}, "must lie between"),
    ("a_priority_that_does_not_fit", plain, {"priority": -(2**63)}, "must lie between"),
    ("priority_that_is_a_text", plain, {"priority": "high"}, "whole number"),
]


@pytest.mark.parametrize(
    ("function", "options", "remedy"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_keyword_that_cannot_be_used_names_the_function_and_the_remedy(
    rain: Raincheck, function: Callable[..., Any], options: dict[str, Any], remedy: str
) -> None:
    """The author reads it at import."""
    with pytest.raises(DefinitionError) as refused:
        rain.post("/reports", **options)(function)
    assert f"{function.__module__}.{function.__qualname__}" in str(refused.value)
    assert remedy in str(refused.value)


def test_two_functions_cannot_have_one_kind(rain: Raincheck) -> None:
    """Stored operations refer to kinds by name; the error names both functions."""
    rain.post("/a", kind="report")(plain)
    with pytest.raises(DefinitionError, match=r"kind 'report' is already used by .*plain.*kind=") as refused:
        rain.post("/b", kind="report")(awaited)
    assert "awaited" in str(refused.value)


def test_a_route_that_fastapi_refuses_leaves_the_kind_free(rain: Raincheck) -> None:
    """The corrected decorator keeps the name."""
    with pytest.raises(TypeError, match="retires"):
        rain.post("/a", retires=3)(plain)  # type: ignore[call-arg]
    rain.post("/a")(plain)
    assert set(rain._registry.kinds) == {"plain"}


def test_a_function_that_a_child_cannot_import_is_refused(rain: Raincheck) -> None:
    """A process imports the function by its name."""

    def inner() -> None: ...

    with pytest.raises(DefinitionError, match=r"inner.*move it to the top"):
        rain.post("/a", executor="process")(inner)


def test_a_decorated_function_stays_what_it_was(rain: Raincheck) -> None:
    """It can be called and unit-tested as it is."""
    assert rain.post("/reports")(plain) is plain
    assert plain("x") == Report(text="x")


def test_the_durable_name_is_the_functions_own_unless_given(rain: Raincheck) -> None:
    """The kind never depends on the path."""
    rain.post("/first/path")(plain)
    rain.post("/second", kind="reports.build")(awaited)
    assert set(rain._registry.kinds) == {"plain", "reports.build"}


def test_options_reach_the_kind(rain: Raincheck) -> None:
    """Nothing is parsed and then ignored."""
    retry = Retry(attempts=5)
    rain.post(
        "/a",
        executor="process",
        retry=retry,
        timeout="30m",
        wait=2,
        max_losses=7,
        retention="2d",
        memory_limit="512MiB",
        queue="heavy",
        priority=-3,
    )(plain)
    kind = rain._registry.kinds["plain"]
    assert (kind.executor, kind.retry, kind.max_losses, kind.queue, kind.priority) == ("process", retry, 7, "heavy", -3)
    assert (kind.timeout, kind.wait) == (timedelta(minutes=30), timedelta(seconds=2))
    assert (kind.retention, kind.memory_limit) == (timedelta(days=2), 512 << 20)


def test_a_decorator_without_an_application_says_what_to_do() -> None:
    """Feature modules use a router."""
    with pytest.raises(DefinitionError, match=r"rain\.router\(\)"):
        Raincheck(store="memory:").post("/a")(plain)


@pytest.mark.parametrize("prefix", ["api", "/api/", "/"])
def test_a_prefix_that_would_make_broken_links_is_refused(prefix: str) -> None:
    """It starts with a slash and does not end with one."""
    with pytest.raises(ConfigurationError, match="prefix="):
        Raincheck(FastAPI(), store="memory:", prefix=prefix)


@pytest.mark.parametrize("store", ["mysql://x", "sqlite://relative.db", "sqlite:///", ""])
def test_a_store_that_is_not_known_is_refused(store: str) -> None:
    """The message says what can be used."""
    with pytest.raises(ConfigurationError, match="sqlite:///"):
        Raincheck(FastAPI(), store=store)


def test_an_unknown_store_is_named_without_its_password() -> None:
    """The message lands in logs."""
    with pytest.raises(ConfigurationError, match="sqlite:///") as refused:
        Raincheck(FastAPI(), store="mysql://user:secret@host/database")
    assert "secret" not in str(refused.value)


def test_a_malformed_setting_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator sees which one."""
    monkeypatch.setenv("RAINCHECK_LEASE", "soon")
    with pytest.raises(ConfigurationError, match="RAINCHECK_LEASE"):
        Raincheck(FastAPI(), store="memory:")


def test_keywords_outrank_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment gives what the code leaves open."""
    monkeypatch.setenv("RAINCHECK_WORKERS", "false")
    monkeypatch.setenv("RAINCHECK_PREFIX", "/from-environment")
    rain = Raincheck(FastAPI(), store="memory:", prefix="/from-code")
    assert (rain.settings.workers, rain.settings.prefix) == (False, "/from-code")


def test_a_router_of_a_feature_module_adds_its_prefix_and_path_parameters() -> None:
    """Operations in nested routers get all path parameters, those of the including router too."""
    rain = Raincheck(store="memory:")
    feature = rain.router(prefix="/reports")

    @feature.post("/{year}")
    async def yearly(tenant: str, year: int, detail: bool = False) -> list[str | int | bool]:
        return [tenant, year, detail]

    outer = APIRouter(prefix="/tenants/{tenant}")
    outer.include_router(feature)
    app = FastAPI()
    app.include_router(outer)
    rain.install(app)
    with TestClient(app) as client:
        answer = client.post("/tenants/blue/reports/2026?detail=true", headers={"Prefer": "wait=10"})
        assert (answer.status_code, answer.json()) == (200, ["blue", 2026, True])


def test_ordinary_routes_of_an_operation_router_stay_ordinary() -> None:
    """add_api_route and api_route are FastAPI's own."""
    rain = Raincheck(store="memory:")
    router = rain.router()

    @router.api_route("/ping")
    async def ping() -> str:
        return "pong"

    app = FastAPI()
    app.include_router(router)
    rain.install(app)
    with TestClient(app) as client:
        assert client.get("/ping").json() == "pong"
