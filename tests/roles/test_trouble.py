"""A store that stays away is told of, and does not flood the log."""

from __future__ import annotations

import logging

import pytest

from raincheck.core.errors import StorageFull
from raincheck.roles.trouble import Trouble

FULL = StorageFull("the disk is full", retry_after=5)


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def trouble(clock: Clock, caplog: pytest.LogCaptureFixture) -> Trouble:
    caplog.set_level(logging.WARNING, "raincheck")
    return Trouble(logging.getLogger("raincheck.test"), "nothing could be claimed", monotonic=clock)


def test_a_lasting_trouble_is_told_once_a_minute(trouble: Trouble, clock: Clock, caplog) -> None:
    """The first failure at once, the rest by number: an hour of a full disk is sixty lines, not seven thousand."""
    for _ in range(120):
        trouble.met(FULL)
        clock.now += 0.5
    assert caplog.messages == ["nothing could be claimed, trying again: the disk is full"]
    trouble.met(FULL)
    assert caplog.messages[1:] == ["nothing could be claimed for 60 s, 120 tries: the disk is full"]


def test_the_end_of_a_trouble_is_told_once(trouble: Trouble, clock: Clock, caplog) -> None:
    """Whoever reads the log sees that no restart was needed; what never failed says nothing."""
    trouble.over()
    assert not caplog.messages
    trouble.met(FULL)
    clock.now += 7
    trouble.over()
    trouble.over()
    assert caplog.messages[1:] == ["it works again after 7.0 s: nothing could be claimed"]


def test_a_new_trouble_is_told_at_once(trouble: Trouble, clock: Clock, caplog) -> None:
    """Also within the minute after the former one."""
    trouble.met(FULL)
    trouble.over()
    trouble.met(FULL)
    assert caplog.messages[2:] == ["nothing could be claimed, trying again: the disk is full"]
