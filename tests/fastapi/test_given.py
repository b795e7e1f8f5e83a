"""What an application hands to ``Raincheck`` by mistake: refused where it is written, with what to write instead."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from raincheck import ConfigurationError, DefinitionError, Raincheck, Retry, Webhook, WorkerDepends

HOOK = Webhook(url="https://hooks.example.com", secret="whsec_bmV2ZXIgdXNlZCBpbiBwcm9kdWN0aW9uISE=")


def who() -> str:
    """Return who calls."""
    return "anybody"


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "an owner in Depends": ({"owner": Depends(who)}, r"owner=Depends\(.*who\) is one Depends too many"),
    "an owner in a Depends of nothing": ({"owner": Depends()}, "owner=Depends\\(…\\) is one Depends too many"),
    "an owner that is a text": ({"owner": "ann"}, "owner='ann' is no dependency; pass a function"),
    "a page for everybody": ({"dashboard": True}, "dashboard=True is no dependency"),
    "a page in Depends": ({"dashboard": Depends(who)}, r"dashboard=Depends\(.*who\) is one Depends too many"),
    "metrics for everybody": ({"metrics": True}, "metrics=True is no dependency"),
    "a guard without Depends": ({"dependencies": [who]}, r"Write dependencies=\[Depends\(.*who\)\]"),
    "a guard that is a text": ({"dependencies": ["admin"]}, r"dependencies=\['admin'\]"),
    "callbacks switched on": ({"callbacks": True}, r"Write callbacks=Callbacks\(secret=…, allow=…\)"),
    "one webhook without a list": ({"webhooks": HOOK}, r"Write webhooks=\[Webhook\(url=…, secret=…\)\]"),
    "webhooks as dictionaries": ({"webhooks": [{"url": "https://a.example"}]}, r"Write webhooks=\[Webhook"),
    "a prefix with a parameter": ({"prefix": "/tenants/{tenant}"}, "prefix='/tenants/{tenant}' must"),
    "a prefix with a query": ({"prefix": "/api?v=1"}, "prefix="),
    "a prefix with a blank": ({"prefix": "/a b"}, "prefix="),
    "a prefix with an empty part": ({"prefix": "//api"}, "prefix="),
}


@pytest.mark.parametrize(("keywords", "remedy"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_the_constructor_names_the_remedy(keywords, remedy):
    """Before anything is opened, and never as an AttributeError from the inside."""
    with pytest.raises(ConfigurationError, match=remedy):
        Raincheck(FastAPI(), store="memory:", **keywords)


@pytest.mark.parametrize("prefix", ["", "/api", "/api/v1", "/a.b-c_d~e"])
def test_a_prefix_may_have_several_parts(prefix):
    """And be empty."""
    assert Raincheck(FastAPI(), store="memory:", prefix=prefix).settings.prefix == prefix


@pytest.mark.parametrize("app", [APIRouter(), None, "app"], ids=["router", "nothing", "text"])
def test_only_an_application_is_installed_on(app):
    """A router has no lifespan that a server runs."""
    with pytest.raises(ConfigurationError, match=r"Feature modules use rain\.router\(\)"):
        Raincheck(store="memory:").install(app)


def test_a_second_raincheck_in_one_place_is_refused():
    """The first would answer for both, and the operations of the second could never be found."""
    app = FastAPI()
    Raincheck(app, store="memory:")
    with pytest.raises(ConfigurationError, match="another Raincheck whose operations are at /operations"):
        Raincheck(app, store="memory:")


def test_a_second_raincheck_in_a_place_of_its_own_works():
    """Each answers for its own operations."""
    app = FastAPI()
    first, second = Raincheck(app, store="memory:"), Raincheck(app, store="memory:", prefix="/second")

    @first.post("/one")
    async def one() -> int:
        return 1

    @second.post("/two")
    async def two() -> int:
        return 2

    with TestClient(app) as client:
        for path, base in (("/one", "/operations"), ("/two", "/second/operations")):
            here = client.post(path, headers={"Prefer": "respond-async"}).headers["location"]
            assert here.startswith(f"{base}/op_")
            assert client.get(here, params={"wait": 10}).json()["status"] == "succeeded"


def test_a_decorator_without_its_path_is_refused():
    """``@rain.post`` without parentheses would replace the function and register nothing."""
    app = FastAPI()
    rain = Raincheck(app, store="memory:")
    for decorate in (rain.post, rain.router().get):
        with pytest.raises(DefinitionError, match=r"who stands where a path belongs. .*@rain\.(post|get)\('/…'\)"):
            decorate(who)


@pytest.mark.parametrize("timeout", [0, 0.0, "0s"])
def test_a_timeout_of_nothing_is_refused(timeout):
    """Whoever writes it means no limit, and would get operations that fail at once."""
    rain = Raincheck(FastAPI(), store="memory:")
    with pytest.raises(DefinitionError, match="use None for no limit"):
        rain.post("/x", timeout=timeout)(who)


@pytest.mark.parametrize("name", ["retention", "wait", "timeout"])
def test_a_duration_of_another_type_says_what_to_write(name):
    """In words about the keyword, not about float()."""
    rain = Raincheck(FastAPI(), store="memory:")
    with pytest.raises(DefinitionError, match=f"{name}=\\[\\] is not a duration; write seconds, a text such as '30m'"):
        rain.post("/x", **{name: []})(who)


@pytest.mark.parametrize("on", [ConnectionError, [ConnectionError], "ConnectionError", (1,), ("ConnectionError",)])
def test_retried_exceptions_are_a_tuple_of_classes(on):
    """Anything else would fail when the first exception is compared, deep in a worker."""
    with pytest.raises(TypeError, match="must be a tuple of exception classes, such as"):
        Retry(attempts=2, on=on)


@pytest.mark.skipif("max_concurrency" not in inspect.signature(Depends).parameters, reason="this FastAPI has none")
def test_a_limit_that_would_not_count_at_the_run_is_refused():
    """FastAPI bounds requests; what is made where the function runs would go beyond it without a word."""
    rain = Raincheck(FastAPI(), store="memory:")
    limited: Any = Depends(who, max_concurrency=2)

    def session(name=limited):
        return name

    def work(db=WorkerDepends(session)):
        return db

    with pytest.raises(DefinitionError, match=r"has max_concurrency=, .* Hold a semaphore of your own"):
        rain.post("/work")(work)


def test_a_model_of_a_factory_says_where_it_belongs():
    """Annotations that are texts are looked up in the module; FastAPI would take the body for a query parameter."""

    class Order(BaseModel):
        pages: int

    def build(order: Order) -> int:
        return order.pages

    def find() -> Order:
        return Order(pages=1)

    rain = Raincheck(FastAPI(), store="memory:")
    for function in (build, find):
        with pytest.raises(DefinitionError, match=r"'Order'.* Define or import the name at the top of its module"):
            rain.post("/x")(function)
