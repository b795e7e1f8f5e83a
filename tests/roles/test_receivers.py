"""A receiver gets more attempts at once while it answers, and one now and then while it does not."""

from __future__ import annotations

import pytest

from raincheck.roles.receivers import FIRST_ROOM, Receivers

NAME = "https://hooks.example.com:443"


@pytest.fixture
def receivers(time):
    """Provide receivers of which nothing is known."""
    return Receivers(monotonic=time.monotonic)


def attempts(receivers, count, *, answered):
    """Make attempts one after the other, beside one that stays under way."""
    for _ in range(count):
        receivers.began(NAME)
        receivers.ended(NAME, answered=answered)


def test_nothing_is_remembered_of_an_idle_receiver_that_answers(receivers):
    """So memory does not grow with the number of URLs."""
    for number in range(1000):
        receivers.began(f"https://r{number}.example.com:443")
    assert len(receivers.rooms) == 1000
    for number in range(1000):
        receivers.ended(f"https://r{number}.example.com:443", answered=True)
    assert receivers.rooms == {}


def test_answers_open_the_window_up_to_a_bound(receivers):
    """Refusals are answers too."""
    receivers.began(NAME)
    assert receivers.rooms == {NAME: FIRST_ROOM - 1}
    attempts(receivers, 100, answered=True)
    assert receivers.rooms == {NAME: 19}


def test_silence_halves_the_window_and_then_shuts_the_receiver(receivers, time):
    """Longer and longer, a minute at most; after each pause one attempt tries."""
    receivers.began(NAME)
    attempts(receivers, 2, answered=False)
    assert receivers.rooms == {NAME: 0}
    receivers.ended(NAME, answered=None)
    assert receivers.rooms == {NAME: 1}
    for pause in (5, 10, 20, 40, 60, 60):
        attempts(receivers, 1, answered=False)
        time.pass_(pause - 1)
        assert receivers.rooms == {NAME: 0}
        time.pass_(1)
        assert receivers.rooms == {NAME: 1}


def test_one_answer_lets_a_dead_receiver_live(receivers):
    """It opens at once, from one."""
    receivers.began(NAME)
    attempts(receivers, 9, answered=False)
    attempts(receivers, 1, answered=True)
    assert receivers.rooms == {NAME: 1}
    attempts(receivers, 9, answered=True)
    assert receivers.rooms == {NAME: 10}


def test_what_tells_nothing_changes_nothing(receivers):
    """A refused address is no fault of the receiver's speed."""
    receivers.began(NAME)
    attempts(receivers, 50, answered=None)
    assert receivers.rooms == {NAME: FIRST_ROOM - 1}


def test_memory_is_bounded_also_with_many_dead_receivers(receivers):
    """Callers may name ever new ones."""
    for number in range(10_050):
        name = f"https://r{number}.example.com:443"
        receivers.began(name)
        receivers.ended(name, answered=False)
    assert len(receivers.rooms) == 10_000
