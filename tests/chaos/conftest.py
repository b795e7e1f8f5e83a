"""What the chaos tests share: a scene for each test, with or without notices between processes.

``make test`` runs each test once, some of them in a short form, half of them with servers that are deaf to notices.
``make chaos`` sets ``CHAOS_DEEP``: every test both ways, in full.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.driver import Scene

DEEP = bool(os.environ.get("CHAOS_DEEP"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with a scene as it is, and deaf; only one of the two unless all is asked for."""
    if "scene" in metafunc.fixturenames:
        ways = ["signals", "deaf"]
        if not DEEP:
            ways = [ways[zlib.crc32(metafunc.function.__name__.encode()) % 2]]
        metafunc.parametrize("scene", ways, indirect=True)


@pytest.fixture
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """Provide a database, a side-effect log, and the means to start programs on them."""
    made = Scene(tmp_path, deaf=request.param == "deaf")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def deep() -> bool:
    """Tell whether the long form of a test was asked for."""
    return DEEP
