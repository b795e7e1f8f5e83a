"""What docs/benchmarks.md compares is what was measured, and what the environments of `make bench-peers` hold."""

import importlib.util
import json
from pathlib import Path

import pytest

from benchmarks.peers import render
from benchmarks.peers.contestants import ALL, APPS, OURS

RESULTS = json.loads((Path(render.__file__).parent / "results.json").read_text())
NAMES = [contestant.name for contestant in ALL]


def test_the_page_shows_the_figures_that_were_kept():
    """A table that somebody edited by hand, or forgot to render, is not what was measured."""
    assert render.tables(RESULTS) in render.PAGE.read_text()


@pytest.mark.parametrize("contestant", ALL, ids=NAMES)
def test_every_contestant_was_measured(contestant):
    """A row without figures would promise a comparison that nobody made."""
    figures = RESULTS["contestants"][contestant.name]
    assert figures["accept_ratio"] > 0
    assert contestant.module == "bare" or {"noops_per_second", "waiting", "running"} <= figures.keys()


@pytest.mark.parametrize("contestant", ALL, ids=NAMES)
def test_every_contestant_has_its_program(contestant):
    """The programs are loaded in other environments, so that no linter notices one that is gone."""
    assert importlib.util.find_spec(f"{APPS}.{contestant.module}") is not None


@pytest.mark.parametrize("contestant", [each for each in ALL if each.engine], ids=lambda each: each.name)
def test_raincheck_is_compared_with_the_engine_that_it_uses(contestant):
    """Side by side stand the same package in the same environment."""
    [alone] = [each for each in ALL if each.name == contestant.engine]
    assert (alone.package, alone.environment) == (contestant.package, contestant.environment)
    assert contestant.settings.items() >= OURS.items()


def test_operations_survive_in_every_row_of_raincheck():
    """The promise of the contract, in the table that others are judged by."""
    survived = {
        contestant.name: [RESULTS["contestants"][contestant.name][when] for when in ("waiting", "running")]
        for contestant in ALL
        if contestant.ours
    }
    assert len(survived) == 6
    assert {name: found for name, found in survived.items() if not all(each.startswith("yes") for each in found)} == {}
