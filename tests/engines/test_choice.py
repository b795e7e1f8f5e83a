"""Which engine an application has, and what is refused before anything is opened."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from celery import Celery
from fastapi import FastAPI

from raincheck import ConfigurationError, Raincheck
from raincheck import engine_choice as choice
from raincheck.engines.celery import CeleryEngine
from raincheck.engines.procrastinate import migrations_after, queue_name
from raincheck.engines.taskiq import TaskiqEngine, broker_maker

POSTGRES = "postgresql://shop@127.0.0.1:1/shop"


@pytest.mark.parametrize(
    ("store", "expected"), [("memory:", None), ("sqlite:///shop.db", None), (POSTGRES, "pgqueuer")]
)
def test_the_store_decides_where_nobody_does(store, expected) -> None:
    """Workers look into a file themselves; in PostgreSQL PgQueuer brings what waits, unless that is switched off."""
    assert getattr(Raincheck(FastAPI(), store=store).engine, "name", None) == expected
    assert Raincheck(FastAPI(), store=store, engine="embedded").engine is None


def test_a_default_that_is_not_installed_is_refused_and_not_replaced(monkeypatch) -> None:
    """Two machines of a fleet must not differ by what happens to be installed; the message has both ways out."""
    monkeypatch.setattr(choice, "find_spec", lambda wanted: None if wanted == "pgqueuer" else find_spec(wanted))
    with pytest.raises(ConfigurationError, match=r"pip install 'raincheck\[postgres\]'\. Or set RAINCHECK_ENGINE=emb"):
        Raincheck(FastAPI(), store=POSTGRES)
    assert Raincheck(FastAPI(), store=POSTGRES, engine="embedded").engine is None


@pytest.mark.parametrize("name", ["pgqueuer", "procrastinate"])
def test_an_engine_in_postgresql_is_chosen_by_name(name, monkeypatch) -> None:
    """By a keyword, or by the environment; nothing is connected."""
    engine = Raincheck(FastAPI(), store=POSTGRES, engine=name).engine
    assert engine is not None
    assert (engine.name, engine.transactional, engine.terms.delays) == (name, True, True)
    monkeypatch.setenv("RAINCHECK_ENGINE", name)
    assert Raincheck(FastAPI(), store=POSTGRES).engine.name == name


def test_taskiq_is_chosen_with_its_broker(monkeypatch) -> None:
    """The broker's names begin as the prefix says."""
    monkeypatch.setenv("RAINCHECK_BROKER", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("RAINCHECK_BROKER_PREFIX", "shop")
    engine = Raincheck(FastAPI(), store="sqlite:///shop.db", engine="taskiq").engine
    assert isinstance(engine, TaskiqEngine)
    assert engine.topic("default", "async") == "shop-default-async"
    assert engine.topic("a b", "async") != engine.topic("a-b", "async")


def test_celery_is_its_current_application() -> None:
    """By name; or an engine made of another one."""
    Celery("shop")  # the current one from now on, whatever tests before this have registered in another
    assert isinstance(Raincheck(FastAPI(), store="sqlite:///shop.db", engine="celery").engine, CeleryEngine)


@pytest.mark.parametrize(
    ("store", "engine", "broker", "message"),
    [
        ("sqlite:///shop.db", "pgqueuer", "", "must be PostgreSQL"),
        ("memory:", "procrastinate", "", "must be PostgreSQL"),
        (POSTGRES, "rq", "", "engine='rq' is unknown"),
        (POSTGRES, "taskiq", "", "set RAINCHECK_BROKER=redis://"),
        (POSTGRES, "taskiq", "kafka://x", "begins with 'kafka'"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_next_step(monkeypatch, store, engine, broker, message) -> None:
    """When the application is imported, not when the first operation waits for ever."""
    monkeypatch.setenv("RAINCHECK_BROKER", broker)
    with pytest.raises(ConfigurationError, match=message):
        Raincheck(FastAPI(), store=store, engine=engine)


@pytest.mark.parametrize("name", [name for name in choice.NAMES if name != "embedded"])
def test_a_missing_package_names_the_extra(monkeypatch, name) -> None:
    """The message is the command that mends it."""
    monkeypatch.setattr(choice, "find_spec", lambda wanted: None if wanted == name else find_spec(wanted))
    with pytest.raises(ConfigurationError, match=rf"pip install 'raincheck\[{name}\]'"):
        Raincheck(FastAPI(), store=POSTGRES, engine=name)


def test_an_unknown_executor_is_refused() -> None:
    """A typing mistake would leave operations waiting."""
    from raincheck import Settings

    with pytest.raises(ConfigurationError, match="names threads"):
        Raincheck(FastAPI(), store="memory:", settings=Settings(executors="threads"))


def test_queue_names_fit_into_a_notification() -> None:
    """PostgreSQL takes 63 bytes for a channel, and Procrastinate puts 23 before the queue's name."""
    names = [queue_name("default", kind) for kind in ("short", "x" * 100, "x" * 99 + "y", "ü" * 40)]
    assert names[0] == "default/short"
    assert len(set(names)) == 4
    assert max(len(name.encode()) for name in names) <= 40


def test_older_tables_of_procrastinate_get_the_newer_migrations_only() -> None:
    """By the release that made them."""
    assert len(migrations_after("3.3.0")) > len(migrations_after("3.4.0")) >= 0
    assert "retry" in migrations_after("3.3.0")[-1]


def test_a_broker_for_nothing_is_refused() -> None:
    """An empty setting is none."""
    with pytest.raises(ConfigurationError, match="needs a broker"):
        broker_maker("")
