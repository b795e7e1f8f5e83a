"""The log of one operation: rows, and what the record itself tells."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from raincheck.core.events import (
    Entry,
    Event,
    EventType,
    LogLine,
    Output,
    entry_data,
    history,
    progress_data,
    status_data,
)
from raincheck.core.operation import Operation, Progress, Status

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
NEW = Operation(id="op_1", kind="report", created_at=NOW, updated_at=NOW, run_at=NOW)
DONE = replace(
    NEW,
    status=Status.SUCCEEDED,
    version=7,
    run=1,
    started_at=NOW + timedelta(seconds=2),
    finished_at=NOW + timedelta(seconds=7),
    progress=Progress(fraction=1.0),
    progress_version=6,
    progress_run=1,
    progress_at=NOW + timedelta(seconds=6),
)
ROWS = [Event("op_1", version, 1, kind, NOW, "{}") for version, kind in ((3, EventType.OUTPUT), (4, EventType.LOG))]


def test_acceptance_is_the_first_event() -> None:
    """It has no row: the record itself is the proof."""
    [event] = history(NEW, [], after=0)
    assert event == Event("op_1", 1, 0, EventType.STATUS, NOW, status_data(Status.QUEUED, attempt=0))
    assert json.loads(event.data) == {"status": "queued", "attempt": 0, "next_attempt_at": None}


def test_the_first_start_is_the_second_event_of_what_has_run() -> None:
    """It has no row either: only a claim leads from the queue to a run, whatever came later."""
    second = history(replace(DONE, run=3, attempt=2), ROWS, after=1)[0]
    data = status_data(Status.RUNNING, attempt=1)
    assert second == Event("op_1", 2, 1, EventType.STATUS, NOW + timedelta(seconds=2), data)


def test_what_ended_in_the_queue_was_never_started() -> None:
    """A cancel or a deadline may be version 2."""
    cancelled = replace(NEW, status=Status.CANCELLED, version=2, finished_at=NOW)
    assert [event.type for event in history(cancelled, [], after=0)] == [EventType.STATUS, EventType.DONE]


def test_rows_and_the_records_own_events_are_merged_in_order() -> None:
    """Whatever order the rows come in; version 5 was progress and moved to 6."""
    events = history(DONE, reversed(ROWS), after=0)
    assert [event.version for event in events] == [1, 2, 3, 4, 6, 7]
    assert [event.type.value for event in events] == ["status", "status", "output", "log", "progress", "done"]


def test_the_records_own_events_keep_their_time_and_run() -> None:
    """Progress of an older run stays that run's."""
    retried = replace(DONE, run=2)
    *_, progress, done = history(retried, [], after=0)
    assert (progress.time, progress.run) == (NOW + timedelta(seconds=6), 1)
    assert (done.time, done.run, done.data) == (NOW + timedelta(seconds=7), 2, "{}")


@pytest.mark.parametrize("after", range(9))
def test_what_comes_after_a_version_is_the_end_of_the_whole(after: int) -> None:
    """Also after a version that progress has left."""
    whole = history(DONE, ROWS, after=0)
    assert history(DONE, ROWS, after=after) == [event for event in whole if event.version > after]


@pytest.mark.parametrize("status", [status for status in Status if not status.done])
def test_an_unfinished_operation_has_no_terminal_event(status: Status) -> None:
    """Its version is somebody else's."""
    assert EventType.DONE not in {event.type for event in history(replace(DONE, status=status), ROWS, after=0)}


@pytest.mark.parametrize(
    ("entry", "kind", "data"),
    [
        (Output("[1, 2]"), EventType.OUTPUT, {"chunk": [1, 2]}),
        (Output("null"), EventType.OUTPUT, {"chunk": None}),
        (LogLine("a\r\nb\u2028\x00ü"), EventType.LOG, {"level": "info", "message": "a\r\nb\u2028\x00ü"}),
        (LogLine("", "error"), EventType.LOG, {"level": "error", "message": ""}),
    ],
)
def test_an_entry_becomes_one_line_of_ascii_json(entry: Entry, kind: EventType, data: object) -> None:
    """A line break in the text must not forge a frame."""
    found, text = entry_data(entry)
    assert (found, json.loads(text)) == (kind, data)
    assert text.isascii()
    assert text.isprintable()


def test_progress_data_names_every_part() -> None:
    """Absent parts are null, as in the resource."""
    assert json.loads(progress_data(Progress(current=1, total=4, message="ü"))) == {
        "progress": {
            "fraction": None,
            "current": 1,
            "total": 4,
            "unit": None,
            "message": "ü",
            "stage": None,
        },
    }
    assert progress_data(Progress(message="ü\u2028")).isascii()
