"""When an engine is told of a queued operation, and when again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from raincheck.core.dispatch_rules import PATIENCE, Terms, dispatched_at_once, first_moment, next_moment
from raincheck.core.operation import Status, changed
from raincheck.testing.conformance.specimens import NOW, SECOND, an_operation

LATER = NOW + 60 * SECOND


@pytest.mark.parametrize(
    ("delays", "run_at", "at_once", "moment"),
    [
        (False, NOW, True, NOW + PATIENCE),
        (True, NOW, True, NOW + PATIENCE),
        (False, LATER, False, LATER),
        (True, LATER, True, LATER + PATIENCE),
    ],
)
def test_the_first_moment_leaves_time_for_the_message_that_is_sent_at_once(delays, run_at, at_once, moment) -> None:
    """What falls due later is told then, unless the engine keeps the message until then."""
    operation, terms = an_operation(run_at=run_at), Terms(delays=delays)
    assert dispatched_at_once(operation, terms) is at_once
    assert first_moment(operation, terms) == moment


def test_what_is_due_for_long_is_not_told_again_at_once() -> None:
    """A lost lease keeps its old place in line, but its message is new."""
    operation = changed(an_operation(run_at=NOW), updated_at=LATER)
    assert first_moment(operation, Terms(delays=False)) == LATER + PATIENCE


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.QUEUED])
def test_only_what_is_queued_has_a_moment(status) -> None:
    """Nobody needs to hear of what runs or is done."""
    assert first_moment(changed(an_operation(), status=status), Terms(delays=True)) is None


def test_without_an_engine_there_is_no_moment() -> None:
    """The index of moments stays empty, and costs nothing."""
    assert first_moment(an_operation(), None) is None


def test_a_backlog_makes_few_messages_for_each_operation() -> None:
    """Told again at 10, 20, 40, 80 … seconds: whatever was lost at most doubles the wait."""
    moment, told = first_moment(an_operation(), Terms(delays=False)), []
    while moment <= NOW + timedelta(minutes=10):
        told.append((moment - NOW).total_seconds())
        moment = next_moment(run_at=NOW, now=moment, patience=PATIENCE)
    assert told == [10, 20, 40, 80, 160, 320]


def test_a_clock_that_was_set_back_leaves_the_patience() -> None:
    """Not a moment in the past, which would be told with every look."""
    assert next_moment(run_at=LATER, now=NOW, patience=PATIENCE) == NOW + PATIENCE
