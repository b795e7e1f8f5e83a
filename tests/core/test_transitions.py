"""The rules, one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from raincheck.core import transitions
from raincheck.core.errors import LeaseLost, OperationFinished, OperationNotFinished, OperationSucceeded
from raincheck.core.events import EventType, LogLine, Output
from raincheck.core.operation import Operation, Problem, Progress, Status, StoredResult
from raincheck.core.transitions import Change

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LEASE_END = NOW + 15 * SECOND
RESULT = StoredResult(body=b"3", size=1)
PROBLEM = Problem(code="out-of-paper", title="The printer has no paper")
QUEUED = Operation(id="op_1", kind="report", created_at=NOW, updated_at=NOW, run_at=NOW)

Ending = Callable[[Operation], Change]
ENDINGS: dict[str, Callable[[Operation, int], Change]] = {
    "record": lambda record, run: transitions.record(record, run=run, entries=[Output("1")], now=NOW),
    "succeed": lambda record, run: transitions.succeed(record, run=run, result=RESULT, now=NOW),
    "fail": lambda record, run: transitions.fail(record, run=run, error=PROBLEM, now=NOW),
    "retry_later": lambda record, run: transitions.retry_later(record, run=run, at=NOW, now=NOW),
    "release": lambda record, run: transitions.release(record, run=run, now=NOW),
    "lose": lambda record, run: transitions.lose(record, run=run, now=NOW),
}


def claimed(operation: Operation) -> Operation:
    """Return the operation as its next run's worker holds it."""
    change = transitions.claim(operation, worker="worker-1", lease_until=LEASE_END, now=NOW)
    assert change is not None
    return change.operation


def in_status(status: Status, *, operation: Operation = QUEUED) -> Operation:
    """Return the operation in a status, reached by the rules."""
    if status is Status.QUEUED:
        return operation
    running = claimed(operation)
    match status:
        case Status.RUNNING:
            return running
        case Status.CANCELLING:
            return transitions.request_cancel(running, now=NOW).operation
        case Status.SUCCEEDED:
            return ENDINGS["succeed"](running, running.run).operation
        case Status.FAILED:
            return ENDINGS["fail"](running, running.run).operation
        case _:
            return transitions.request_cancel(operation, now=NOW).operation


HELD = [status for status in Status if status.held]
FREE = [status for status in Status if not status.held]
DONE = [status for status in Status if status.done]
RUNNING = in_status(Status.RUNNING)
CANCELLING = in_status(Status.CANCELLING)


class TestClaim:
    """A worker takes the operation."""

    def test_a_due_operation_is_given_out_as_the_next_run(self) -> None:
        """Run and attempt rise, the worker and its lease are noted, the start is kept."""
        assert (RUNNING.status, RUNNING.run, RUNNING.attempt) == (Status.RUNNING, 1, 1)
        assert (RUNNING.worker, RUNNING.lease_until, RUNNING.started_at) == ("worker-1", LEASE_END, NOW)

    def test_an_operation_that_is_not_due_waits(self) -> None:
        """To the very moment."""
        later = replace(QUEUED, run_at=NOW + timedelta(milliseconds=1))
        assert transitions.claim(later, worker="w", lease_until=LEASE_END, now=NOW) is None
        assert transitions.claim(QUEUED, worker="w", lease_until=LEASE_END, now=NOW) is not None

    @pytest.mark.parametrize("waits", [0 * SECOND, 3600 * SECOND])
    def test_work_does_not_wait_for_a_clock_that_was_set_back(self, waits: timedelta) -> None:
        """What was written in the future is due, also a retry: its moment means nothing to this clock any more."""
        record = replace(QUEUED, run_at=NOW + waits)
        assert transitions.due(record, now=NOW - timedelta(hours=2))
        assert not transitions.due(record, now=NOW - transitions.CLOCK_TOLERANCE)  # as clocks of two machines differ

    @pytest.mark.parametrize("give_back", [transitions.release, transitions.lose])
    def test_what_is_given_back_after_the_clock_was_set_back_is_due(self, give_back) -> None:
        """It had been due when it was claimed; its place in line is now, not in two hours."""
        back = NOW - timedelta(hours=2)
        assert give_back(RUNNING, run=1, now=back).operation.run_at == back
        assert give_back(RUNNING, run=1, now=NOW + SECOND).operation.run_at == RUNNING.run_at

    def test_scheduled_work_waits_for_its_moment_whatever_the_clock_does(self) -> None:
        """The caller named a moment; only that moment counts."""
        scheduled = replace(QUEUED, run_at=NOW, scheduled_for=NOW)
        assert not transitions.due(scheduled, now=NOW - timedelta(hours=2))
        retried = replace(scheduled, run_at=NOW + 60 * SECOND, updated_at=NOW + 50 * SECOND)
        assert transitions.due(retried, now=NOW)

    @pytest.mark.parametrize("status", [status for status in Status if status is not Status.QUEUED])
    def test_only_a_queued_operation_is_given_out(self, status: Status) -> None:
        """Never one that a worker holds or that is done."""
        record = in_status(status)
        assert transitions.claim(record, worker="w", lease_until=LEASE_END, now=NOW + 99 * SECOND) is None

    def test_a_later_run_keeps_the_first_start(self) -> None:
        """``started_at`` is when work first began."""
        again = transitions.release(RUNNING, run=1, now=NOW).operation
        change = transitions.claim(again, worker="w", lease_until=LEASE_END, now=NOW + 5 * SECOND)
        assert change is not None
        assert (change.operation.started_at, change.operation.run) == (NOW, 2)


class TestFence:
    """A run that no longer holds the operation writes nothing."""

    @pytest.mark.parametrize("write", ENDINGS)
    @pytest.mark.parametrize("status", FREE)
    def test_no_run_writes_to_an_operation_that_nobody_holds(self, status: Status, write: str) -> None:
        """Not even the last one that held it."""
        record = in_status(status)
        for run in range(record.run + 2):
            with pytest.raises(LeaseLost, match="no longer holds it"):
                ENDINGS[write](record, run)

    @pytest.mark.parametrize("write", ENDINGS)
    @pytest.mark.parametrize("status", HELD)
    def test_another_run_than_the_current_one_writes_nothing(self, status: Status, write: str) -> None:
        """Neither an older nor a made-up one."""
        record = replace(in_status(status), run=2)
        for run in (0, 1, 3, -1):
            with pytest.raises(LeaseLost):
                ENDINGS[write](record, run)
        assert not ENDINGS[write](record, 2).empty

    @pytest.mark.parametrize("status", list(Status))
    def test_a_lease_is_renewable_only_by_the_current_run_of_a_held_operation(self, status: Status) -> None:
        """The same condition as for writes."""
        record = in_status(status)
        assert transitions.renewable(record, run=record.run) is status.held
        assert not transitions.renewable(record, run=record.run + 1)
        assert not transitions.renewable(record, run=record.run - 1)


class TestRecord:
    """Progress, output and log lines."""

    def test_entries_keep_their_order_and_progress_comes_last(self) -> None:
        """One version each."""
        change = transitions.record(
            RUNNING,
            run=1,
            entries=[Output("1"), LogLine("two"), Output("3")],
            progress=Progress(fraction=0.5),
            now=NOW,
        )
        assert [event.version for event in change.events] == [3, 4, 5]
        assert [event.type for event in change.events] == [EventType.OUTPUT, EventType.LOG, EventType.OUTPUT]
        assert (change.operation.version, change.operation.progress_version) == (6, 6)
        assert change.follows == 2

    def test_recording_nothing_is_no_change(self) -> None:
        """No version without something to tell."""
        change = transitions.record(RUNNING, run=1, now=NOW + SECOND)
        assert change.empty
        assert change.operation == RUNNING

    def test_newer_progress_supersedes_the_older(self) -> None:
        """One value moves to the newest version: holes are made here and only here."""
        first = transitions.record(RUNNING, run=1, progress=Progress(fraction=0.1), now=NOW).operation
        second = transitions.record(first, run=1, progress=Progress(fraction=0.2), now=NOW + SECOND).operation
        assert second.progress == Progress(fraction=0.2)
        assert (second.progress_version, second.progress_at) == (4, NOW + SECOND)

    def test_work_that_is_being_cancelled_may_still_tell(self) -> None:
        """It holds the operation until it ends."""
        assert transitions.record(CANCELLING, run=1, entries=[Output("1")], now=NOW).operation.output_events == 1

    @pytest.mark.parametrize(
        "before",
        [
            {"output_events": transitions.MAX_OUTPUT_EVENTS},
            {"output_bytes": transitions.MAX_OUTPUT_BYTES - 5},
        ],
    )
    def test_an_operation_that_emits_too_much_is_stopped(self, before: dict[str, int]) -> None:
        """By number or by size."""
        with pytest.raises(transitions.OutputTooLarge):
            transitions.record(replace(RUNNING, **before), run=1, entries=[Output("1")], now=NOW)  # type: ignore[arg-type]

    def test_the_last_allowed_event_is_kept(self) -> None:
        """The limit itself is allowed."""
        almost = replace(RUNNING, output_events=transitions.MAX_OUTPUT_EVENTS - 1)
        change = transitions.record(almost, run=1, entries=[Output("1")], now=NOW)
        assert change.operation.output_events == transitions.MAX_OUTPUT_EVENTS

    def test_progress_never_counts_as_output(self) -> None:
        """It replaces itself, so it cannot fill the store."""
        full = replace(RUNNING, output_events=transitions.MAX_OUTPUT_EVENTS)
        assert not transitions.record(full, run=1, progress=Progress(), now=NOW).empty


class TestEndOfARun:
    """The function returned, raised, or asked for another time."""

    @pytest.mark.parametrize("status", HELD)
    def test_a_normal_return_succeeds_even_while_being_cancelled(self, status: Status) -> None:
        """The work is done, so its result counts."""
        done = transitions.succeed(in_status(status), run=1, result=RESULT, now=NOW + SECOND).operation
        assert (done.status, done.result, done.finished_at) == (Status.SUCCEEDED, RESULT, NOW + SECOND)
        assert (done.worker, done.lease_until) == (None, None)
        assert done.expires_at == NOW + SECOND + done.retention

    def test_a_failure_without_attempts_left_is_the_end(self) -> None:
        """By default there is one attempt."""
        failed = transitions.fail(RUNNING, run=1, error=PROBLEM, traceback="T", retry_at=NOW, now=NOW).operation
        assert (failed.status, failed.error, failed.traceback) == (Status.FAILED, PROBLEM, "T")

    def test_a_failure_with_attempts_left_is_tried_again_at_its_time(self) -> None:
        """It goes from running to queued, with the next attempt's time."""
        change = transitions.fail(
            replace(RUNNING, max_attempts=2), run=1, error=PROBLEM, retry_at=NOW + 5 * SECOND, now=NOW
        )
        waiting = change.operation
        assert (waiting.status, waiting.attempt, waiting.next_attempt_at) == (Status.QUEUED, 1, NOW + 5 * SECOND)
        assert (waiting.worker, waiting.lease_until, waiting.error) == (None, None, None)
        assert json.loads(change.events[0].data) == {
            "status": "queued",
            "attempt": 1,
            "next_attempt_at": "2026-01-31T12:00:05.000Z",
        }

    def test_a_failure_that_never_retries_ends_with_attempts_left(self) -> None:
        """HTTPException, OperationFailed, a deadline, a result that does not match: no ``retry_at``."""
        failed = transitions.fail(replace(RUNNING, max_attempts=9), run=1, error=PROBLEM, now=NOW).operation
        assert failed.status is Status.FAILED

    @pytest.mark.parametrize("give_back", ["retry_later", "release"])
    def test_a_drain_and_retry_later_count_no_attempt(self, give_back: str) -> None:
        """The code did not fail."""
        waiting = ENDINGS[give_back](RUNNING, 1).operation
        assert (waiting.status, waiting.attempt, waiting.run) == (Status.QUEUED, 0, 1)
        assert claimed(waiting).attempt == 1
        assert claimed(waiting).run == 2

    def test_retry_later_waits_as_long_as_it_asked(self) -> None:
        """Not a moment less."""
        waiting = transitions.retry_later(RUNNING, run=1, at=NOW + 60 * SECOND, now=NOW).operation
        assert waiting.next_attempt_at == NOW + 60 * SECOND


class TestLoss:
    """The worker died or is out of reach."""

    def test_a_lost_run_is_queued_again_and_counts_no_attempt(self) -> None:
        """Losses have their own count."""
        lost = transitions.lose(RUNNING, run=1, now=NOW).operation
        assert (lost.status, lost.attempt, lost.losses, lost.run_at) == (Status.QUEUED, 0, 1, NOW)

    def test_the_last_allowed_loss_ends_as_worker_lost(self) -> None:
        """An operation that kills its worker must not go round for ever."""
        record = replace(QUEUED, max_losses=3)
        for _ in range(3):
            record = transitions.lose(claimed(record), run=record.run + 1, now=NOW).operation
        assert (record.status, record.losses, record.error) == (Status.FAILED, 3, transitions.WORKER_LOST)

    @pytest.mark.parametrize("early", [-1, 0, 1])
    @pytest.mark.parametrize("status", list(Status))
    def test_only_a_lease_that_has_ended_is_taken(self, status: Status, early: int) -> None:
        """At its very end, and not before."""
        record = in_status(status)
        change = transitions.expire_lease(record, run=record.run, now=LEASE_END - early * SECOND)
        assert (change is not None) == (status.held and early <= 0)

    def test_a_lease_that_was_renewed_meanwhile_is_left_alone(self) -> None:
        """The reaper looked, then the heartbeat came, then the reaper acted."""
        renewed = replace(RUNNING, lease_until=LEASE_END + 15 * SECOND)
        assert transitions.expire_lease(renewed, run=1, now=LEASE_END) is None

    def test_a_lease_that_somebody_else_took_meanwhile_is_left_alone(self) -> None:
        """Two reapers looked; the second must not take the new run's lease."""
        taken = claimed(transitions.lose(RUNNING, run=1, now=NOW).operation)
        with pytest.raises(LeaseLost):
            transitions.expire_lease(taken, run=1, now=LEASE_END)


class TestDeadline:
    """``deadline_at`` ends everything but a cancel."""

    @pytest.mark.parametrize("status", list(Status))
    def test_a_passed_deadline_fails_what_waits_or_runs(self, status: Status) -> None:
        """A cancel under way outranks it; what is done stays as it is."""
        record = replace(in_status(status), deadline_at=NOW + SECOND)
        change = transitions.expire_deadline(record, now=NOW + SECOND)
        if status in {Status.QUEUED, Status.RUNNING}:
            assert change is not None
            assert (change.operation.status, change.operation.error) == (Status.FAILED, transitions.DEADLINE_EXCEEDED)
        else:
            assert change is None

    def test_a_deadline_to_come_changes_nothing(self) -> None:
        """Nor does none."""
        assert transitions.expire_deadline(replace(RUNNING, deadline_at=NOW + SECOND), now=NOW) is None
        assert transitions.expire_deadline(RUNNING, now=NOW) is None

    def test_work_whose_deadline_passed_writes_nothing_more(self) -> None:
        """It may run on for a while, but the end is recorded."""
        change = transitions.expire_deadline(replace(RUNNING, deadline_at=NOW), now=NOW)
        assert change is not None
        with pytest.raises(LeaseLost):
            transitions.succeed(change.operation, run=1, result=RESULT, now=NOW)


class TestCancel:
    """What the wire contract says of cancelling."""

    def test_a_queued_operation_is_cancelled_at_once(self) -> None:
        """Nothing runs that would have to stop."""
        done = transitions.request_cancel(QUEUED, now=NOW + SECOND).operation
        assert (done.status, done.cancel_requested_at) == (Status.CANCELLED, NOW + SECOND)
        assert done.finished_at == NOW + SECOND

    def test_a_waiting_retry_is_cancelled_at_once(self) -> None:
        """It is queued like any other."""
        waiting = transitions.fail(
            replace(RUNNING, max_attempts=2), run=1, error=PROBLEM, retry_at=NOW, now=NOW
        ).operation
        assert transitions.request_cancel(waiting, now=NOW).operation.status is Status.CANCELLED

    def test_a_running_operation_is_asked_to_stop(self) -> None:
        """Its worker holds it until it has stopped: never "cancelled" while the work goes on."""
        change = transitions.request_cancel(RUNNING, now=NOW + SECOND)
        asked = change.operation
        assert (asked.status, asked.cancel_requested_at, asked.worker) == (
            Status.CANCELLING,
            NOW + SECOND,
            "worker-1",
        )
        assert json.loads(change.events[0].data)["status"] == "cancelling"

    @pytest.mark.parametrize("status", [Status.CANCELLING, Status.CANCELLED])
    def test_asking_again_changes_nothing(self, status: Status) -> None:
        """The same answer, no new version."""
        record = in_status(status)
        change = transitions.request_cancel(record, now=NOW + 9 * SECOND)
        assert change.empty
        assert change.operation is record

    @pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED])
    def test_what_is_finished_cannot_be_cancelled(self, status: Status) -> None:
        """The caller learns that it came too late."""
        with pytest.raises(OperationFinished, match=f"already {status.value}"):
            transitions.request_cancel(in_status(status), now=NOW)

    @pytest.mark.parametrize("ending", ["fail", "retry_later", "release", "lose"])
    def test_everything_but_a_return_ends_as_cancelled(self, ending: str) -> None:
        """An exception, a retry, a stop that was asked for, a lost lease."""
        done = ENDINGS[ending](CANCELLING, 1).operation
        assert (done.status, done.error, done.result) == (Status.CANCELLED, None, None)

    def test_a_failure_that_could_be_retried_ends_as_cancelled(self) -> None:
        """Nobody wants another attempt."""
        record = replace(CANCELLING, max_attempts=9)
        done = transitions.fail(record, run=1, error=PROBLEM, traceback="T", retry_at=NOW, now=NOW).operation
        assert (done.status, done.traceback) == (Status.CANCELLED, "T")


class TestDeleteAndRerun:
    """What a caller may do with an operation that is done."""

    @pytest.mark.parametrize("status", list(Status))
    def test_only_what_is_done_can_be_deleted(self, status: Status) -> None:
        """Cancel it first."""
        record = in_status(status)
        if status.done:
            transitions.refuse_delete(record)
            return
        with pytest.raises(OperationNotFinished) as refusal:
            transitions.refuse_delete(record)
        assert refusal.value.operation_id == record.id

    @pytest.mark.parametrize("status", list(Status))
    def test_only_what_failed_or_was_cancelled_runs_again(self, status: Status) -> None:
        """Success is final; what is under way is refused for another reason."""
        record = in_status(status)
        match status:
            case Status.FAILED | Status.CANCELLED:
                transitions.refuse_rerun(record)
            case Status.SUCCEEDED:
                with pytest.raises(OperationSucceeded):
                    transitions.refuse_rerun(record)
            case _:
                with pytest.raises(OperationNotFinished):
                    transitions.refuse_rerun(record)
