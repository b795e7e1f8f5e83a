"""What the chaos tests share: a scene for each test, with or without notices between processes.

``make test`` runs each test once, some of them in a short form, half of them with servers that are deaf to notices, and
some on PostgreSQL too. ``make chaos`` sets ``CHAOS_DEEP``: every test both ways and on both stores, in full.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.driver import Scene

DEEP = bool(os.environ.get("CHAOS_DEEP"))


ON_POSTGRESQL = {"test_kill", "test_pause", "test_drain", "test_storm", "test_crash_points", "test_webhooks"}
"""Modules whose tests are about any store; the others starve a file, or move the clock that SQLite goes by."""
SHORT = {
    "test_a_second_process_takes_over_long_before_the_lease_ends",
    "test_a_server_that_dies_around_commits_loses_nothing",
}
"""What runs on PostgreSQL too where not all is asked for."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with a scene as it is, and deaf; only one of the two unless all is asked for."""
    if "scene" not in metafunc.fixturenames:
        return
    ways, name = ["signals", "deaf"], metafunc.function.__name__
    if not DEEP:
        ways = [ways[zlib.crc32(name.encode()) % 2]]
    if metafunc.module.__name__.rpartition(".")[2] in ON_POSTGRESQL and (DEEP or name in SHORT):
        ways += [f"postgresql-{way}" for way in ways]
    metafunc.parametrize("scene", ways, indirect=True)


@pytest.fixture
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """Provide a database, a side-effect log, and the means to start programs on them."""
    url = request.getfixturevalue("postgres_url") if request.param.startswith("postgresql") else None
    made = Scene(tmp_path, deaf=request.param.endswith("deaf"), database_url=url)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def deep() -> bool:
    """Tell whether the long form of a test was asked for."""
    return DEEP
