"""The garbage collector leaves alone what was loaded and what waits, as long as a Raincheck runs."""

from __future__ import annotations

import gc

import pytest

from raincheck import Raincheck
from raincheck.garbage import loaded_objects_frozen, young_collections_after

PYTHONS_OWN = (700, 10, 10)


@pytest.fixture(autouse=True)
def untouched():
    """Begin and end with nothing frozen and with thresholds as Python has them, whatever other tests do."""
    former = gc.get_threshold()
    gc.unfreeze()
    gc.set_threshold(*PYTHONS_OWN)
    yield
    gc.unfreeze()
    gc.set_threshold(*former)


def test_objects_are_frozen_until_the_last_one_stops():
    """Two applications in one process do not thaw each other's objects."""
    with loaded_objects_frozen():
        with loaded_objects_frozen():
            assert gc.get_freeze_count() > 1000
        assert gc.get_freeze_count() > 1000
    assert gc.get_freeze_count() == 0


def test_an_application_that_froze_by_itself_is_left_alone():
    """Its own choice outlives ours."""
    gc.freeze()
    before = gc.get_freeze_count()
    fresh = [[] for _ in range(1000)]
    with loaded_objects_frozen():
        assert gc.get_freeze_count() <= before
    assert 0 < gc.get_freeze_count() <= before
    assert len(fresh) == 1000


def test_an_error_thaws_too():
    """A start that fails half-way leaves nothing behind."""
    with pytest.raises(ZeroDivisionError), loaded_objects_frozen():
        raise ZeroDivisionError
    assert gc.get_freeze_count() == 0


def test_young_objects_are_looked_at_less_often_until_the_last_one_stops():
    """The first and the second may end in any order."""
    first, second = young_collections_after(10_000), young_collections_after(20_000)
    first.__enter__()
    assert gc.get_threshold() == (10_000, 10, 10)
    second.__enter__()
    assert gc.get_threshold() == (20_000, 10, 10)
    first.__exit__(None, None, None)
    assert gc.get_threshold() == (20_000, 10, 10)
    second.__exit__(None, None, None)
    assert gc.get_threshold() == PYTHONS_OWN


@pytest.mark.parametrize("own", [(50_000, 5, 5), (0, 10, 10)], ids=["rarer", "never"])
def test_an_application_that_collects_less_often_is_left_alone(own):
    """Its own choice stays, before and after; a threshold of 0 collects never."""
    gc.set_threshold(*own)
    with young_collections_after(10_000):
        assert gc.get_threshold() == own
    assert gc.get_threshold() == own


def test_zero_leaves_the_threshold_to_python():
    """What the setting promises."""
    with young_collections_after(0):
        assert gc.get_threshold() == PYTHONS_OWN


@pytest.mark.anyio
async def test_a_running_raincheck_does_both():
    """And puts everything back at its end."""
    rain = Raincheck(store="memory:")
    async with rain.running():
        assert gc.get_freeze_count() > 1000
        assert gc.get_threshold()[0] == 25_000
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == PYTHONS_OWN
