"""KILL exactly before and after each commit, and at each step of the user's code: nothing is lost or done twice.

``make test`` draws some points by a fixed seed; ``make chaos`` goes through all of them, and through another seed's
order each time. ``CHAOS_SEED`` repeats one.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.chaos.driver import Scene
from tests.chaos.parade import (
    AROUND_COMMITS,
    IN_FUNCTIONS,
    OF_WORKERS,
    one_process,
    several_processes,
    worker_programs,
)

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


def chosen(points: tuple[str, ...], count: int, *, deep: bool) -> list[str]:
    """Return the points in the order of the seed: all of them, or the first ones."""
    seed = int(os.environ.get("CHAOS_SEED", "11"))
    order = list(points)
    random.Random(seed).shuffle(order)
    return order if deep else order[:count]


def test_a_server_that_dies_around_commits_loses_nothing(scene: Scene, deep: bool) -> None:
    """One server, restarted after each death; whoever got no answer finds one operation by the same key."""
    scene.settings["RAINCHECK_LEASE"] = "1s"
    points = chosen(AROUND_COMMITS + IN_FUNCTIONS, 5, deep=deep)
    assert one_process(scene, points).crashes == len(points)


@pytest.mark.long
def test_one_of_two_servers_dies_around_commits_and_the_other_takes_over(scene: Scene, deep: bool) -> None:
    """The survivor runs what the dead one held long before its lease ends: by its lock it is known to be dead."""
    points = chosen(tuple(point for point in AROUND_COMMITS if not point.startswith("renew")), 3, deep=deep)
    _, took = several_processes(scene, points)
    assert took
    assert max(took) < scene.takeover, took


def test_a_worker_program_dies_around_commits_and_in_functions(scene: Scene, deep: bool) -> None:
    """A child's death harms its operation alone; what a dead worker held or had not begun, the next worker runs."""
    scene.settings["RAINCHECK_LEASE"] = "1s"
    points = chosen(OF_WORKERS, 3, deep=deep)
    assert worker_programs(scene, points).crashes == len(points)
