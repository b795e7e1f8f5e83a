"""The garbage collector leaves alone what was loaded before the start, as long as a Raincheck runs."""

from __future__ import annotations

import gc

import pytest

from raincheck.loaded_objects import loaded_objects_frozen


@pytest.fixture(autouse=True)
def nothing_frozen():
    """Begin and end with nothing frozen, whatever other tests do."""
    gc.unfreeze()
    yield
    gc.unfreeze()


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
