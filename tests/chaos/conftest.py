"""What the chaos tests share: a scene for each test, with or without notices between processes.

``make test`` runs each test once, some of them in a short form, half of them with servers that are deaf to notices, and
some on PostgreSQL too. ``make chaos`` sets ``CHAOS_DEEP``: every test both ways and on both stores, in full.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.driver import Scene
from tests.engines import backends

DEEP = bool(os.environ.get("CHAOS_DEEP"))
ON_ANY_BACKEND = {"test_kill", "test_pause", "test_drain", "test_storm", "test_crash_points", "test_webhooks"}
"""Modules whose tests are about any store and engine; the others starve a file, or move the clock of SQLite."""
SHORT = {
    "test_a_second_process_takes_over_long_before_the_lease_ends",
    "test_a_server_that_dies_around_commits_loses_nothing",
}
"""What runs on PostgreSQL too where not all is asked for."""
CHOSEN = backends.chosen()
TOLD_AGAIN = "1"
"""Seconds after which a broker hears again of what died with a process; the product waits ten."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with a scene as it is, and deaf; only one of the two unless all is asked for.

    With ``BACKEND=postgresql+taskiq-redis`` each has this one, except with Celery, whose servers run no work.
    """
    if "scene" not in metafunc.fixturenames:
        return
    ways, name = ["signals", "deaf"], metafunc.function.__name__
    if not DEEP:
        ways = [ways[zlib.crc32(name.encode()) % 2]]
    anywhere = metafunc.module.__name__.rpartition(".")[2] in ON_ANY_BACKEND
    if CHOSEN:
        ways = [f"{CHOSEN}-{way}" for way in ways if anywhere and "celery" not in CHOSEN]
    elif anywhere and (DEEP or name in SHORT):
        ways += [f"{backends.ON_DEFAULTS['postgresql']}-{way}" for way in ways]
    metafunc.parametrize("scene", ways, indirect=True)


@pytest.fixture
def scene(request: pytest.FixtureRequest, tmp_path: Path, place: Callable[[str], backends.Place]) -> Iterator[Scene]:
    """Provide a database, a side-effect log, and the means to start programs on them."""
    backend, _, way = request.param.rpartition("-")
    made = Scene(tmp_path, deaf=way == "deaf")
    if backend:
        made.settle_at(place(backend))
        made.settings["CHAOS_PATIENCE"] = TOLD_AGAIN if "RAINCHECK_BROKER" in made.settings else ""
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def deep() -> bool:
    """Tell whether the long form of a test was asked for."""
    return DEEP
