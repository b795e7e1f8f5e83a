"""KILL, TERM, INT and STOP at random points under a stream of submits."""

from __future__ import annotations

import pytest

from tests.chaos.driver import Scene
from tests.chaos.storm import storm

pytestmark = pytest.mark.chaos


def test_every_202_ends_and_every_broken_connection_is_settled_by_its_key(scene: Scene) -> None:
    """Accepted means finished; whoever got no answer finds exactly one operation with the same Idempotency-Key."""
    report = storm(scene, seed=7 + scene.deaf, blows=3)
    assert sum(report.blows.values()) == 3
    assert report.accepted > 10
