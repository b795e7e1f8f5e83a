"""What the chaos tests share: a scene for each test, once with and once without notices between processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.driver import Scene


@pytest.fixture(params=["signals", "deaf"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """Provide a database, a side-effect log, and the means to start programs on them."""
    made = Scene(tmp_path, deaf=request.param == "deaf")
    try:
        yield made
    finally:
        made.close()
