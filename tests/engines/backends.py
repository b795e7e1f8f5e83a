"""Every store with every engine, for suites that hold on all of them.

``BACKEND=postgresql+taskiq-redis`` lets the contract and chaos suites run on one; ``make backends`` runs them on all.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.engines.brokers import BROKERS, Broker, RabbitMq, Valkey
from tests.postgres.server import PostgresServer

CELERYS = {"celery-redis": Valkey, "celery-rabbitmq": RabbitMq}
SQLITE, POSTGRESQL = "sqlite", "postgresql"
BACKENDS = (
    *(f"{SQLITE}+{engine}" for engine in ("embedded", *BROKERS, *CELERYS)),
    *(f"{POSTGRESQL}+{engine}" for engine in ("embedded", "pgqueuer", "procrastinate", *BROKERS, *CELERYS)),
)
"""Their names; an engine with a broker has its name behind it."""
ON_DEFAULTS = {SQLITE: "sqlite+embedded", POSTGRESQL: "postgresql+pgqueuer"}
"""What a store has where no engine is chosen."""

_TABLES = {"pgqueuer": "pgqueuer", "procrastinate": "procrastinate_jobs"}
_NUMBERS = itertools.count(1)


def chosen() -> str:
    """Return the backend that the environment chooses for all; empty: each test has its own."""
    name = os.environ.get("BACKEND", "")
    if name and name not in BACKENDS:
        msg = f"BACKEND={name!r} is unknown. Use one of {', '.join(BACKENDS)}."
        raise pytest.UsageError(msg)
    return name


@dataclass(frozen=True, slots=True)
class Place:
    """A backend that nobody has used.

    :param settings: ``RAINCHECK_*`` in lower case without the prefix; no store: a file of SQLite.
    :param celery: the broker of a Celery application, which an application makes for itself; empty: another engine.
    :param flush: makes the engine forget all its messages; the embedded one has none.
    """

    settings: dict[str, str]
    celery: str = ""
    flush: Callable[[], None] = lambda: None


class Brokers:
    """The brokers of one run of tests; each starts when it is first asked for."""

    def __init__(self) -> None:
        self._made: dict[type[Broker], Broker] = {}

    def __call__(self, kind: type[Broker]) -> Broker:
        """Return the one of a kind; a test that needs what the machine has not is skipped."""
        if kind not in self._made:
            if kind.missing():
                pytest.skip(kind.missing())
            self._made[kind] = kind()
        return self._made[kind]

    def close(self) -> None:
        """End all."""
        for each in self._made.values():
            each.close()


def new_place(backend: str, *, postgres: Callable[[], PostgresServer], brokers: Brokers) -> Place:
    """Return a place on a backend; what it needs is started."""
    store, _, engine = backend.partition("+")
    name = f"suite_{next(_NUMBERS)}"
    settings = {"store": f"{postgres().url()}?schema={name}"} if store == POSTGRESQL else {}
    if engine in CELERYS:
        broker = brokers(CELERYS[engine])
        return Place({**settings, "broker_prefix": name}, broker.url, broker.flush)
    if engine in BROKERS:
        broker = brokers(BROKERS[engine])
        settings |= {"engine": "taskiq", "broker": broker.url, "broker_prefix": name}
        return Place(settings, flush=broker.flush)
    if backend not in ON_DEFAULTS.values():
        settings["engine"] = engine
    if engine in _TABLES:
        return Place(settings, flush=lambda: _emptied(postgres(), name, _TABLES[engine]))
    return Place(settings)


def _emptied(postgres: PostgresServer, schema: str, table: str) -> None:
    postgres.psql(f"SET search_path TO {schema}; DELETE FROM {table}")  # its triggers name no schema
