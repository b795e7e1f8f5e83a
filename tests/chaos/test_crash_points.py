"""KILL exactly before and after each commit, and at each step of the user's code: nothing is lost or done twice."""

from __future__ import annotations

import pytest

from tests.chaos.driver import Scene
from tests.chaos.parade import AROUND_COMMITS, one_process

pytestmark = pytest.mark.chaos


def test_a_server_that_dies_around_each_commit_loses_nothing(scene: Scene) -> None:
    """Twenty-two lives of one server on one file; whoever got no answer finds one operation by the same key."""
    scene.settings["RAINCHECK_LEASE"] = "1s"
    one_process(scene, AROUND_COMMITS)
