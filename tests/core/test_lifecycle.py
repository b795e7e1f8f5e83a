"""Random walks through the rules: whatever happens in whatever order, the promises hold."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raincheck.core import transitions
from raincheck.core.errors import LeaseLost, OperationFinished
from raincheck.core.events import Entry, Event, EventType, LogLine, Output, history
from raincheck.core.operation import Operation, Problem, Progress, Status, StoredResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from raincheck.core.transitions import Change

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=15)
RESULT = StoredResult(body=b"3", size=1)
PROBLEM = Problem(code="out-of-paper", title="The printer has no paper")
ENTRIES = st.lists(st.sampled_from([Output("1"), LogLine("line")]), max_size=3)
WAITS = st.integers(min_value=0, max_value=20).map(lambda seconds: timedelta(seconds=seconds))
# The run a write names: mostly the current one, often an older one, sometimes one that never was.
LAG = st.sampled_from([0, 0, 0, 0, 1, 2, -1])
# What ends a life is drawn rarely, else most walks would be over after two steps.
RARELY = st.integers(min_value=0, max_value=3).map(lambda drawn: drawn == 3)
# max_attempts, max_losses, and how soon the deadline is.
LIVES = st.tuples(
    st.integers(min_value=1, max_value=4),
    st.integers(min_value=1, max_value=3),
    st.none() | st.none() | WAITS,
)


class Lifecycle(RuleBasedStateMachine):
    """One operation in a store of one row, with workers that come back from the dead."""

    operation: Operation
    now: datetime
    rows: list[Event]
    runs: list[int]
    seen: list[Operation]

    @initialize(life=LIVES)
    def begin(self, life: tuple[int, int, timedelta | None]) -> None:
        """Accept the first operation."""
        self.submit(*life)

    @precondition(lambda self: self.operation.done)
    @rule(life=LIVES)
    def begin_again(self, life: tuple[int, int, timedelta | None]) -> None:
        """Accept another operation after the end of one, so that no step of the walk is wasted."""
        self.submit(*life)

    def submit(self, max_attempts: int, max_losses: int, deadline: timedelta | None) -> None:
        """Accept an operation: version 1."""
        self.now = START
        self.operation = Operation(
            id="op_1",
            kind="report",
            created_at=START,
            updated_at=START,
            run_at=START,
            max_attempts=max_attempts,
            max_losses=max_losses,
            deadline_at=None if deadline is None else START + deadline,
        )
        self.rows, self.runs, self.seen = [], [], [self.operation]

    # --- what may happen --------------------------------------------------------------------------------------

    @rule(wait=WAITS)
    def time_passes(self, wait: timedelta) -> None:
        """Leases end, retries become due."""
        self.now += wait

    @rule(patience=st.booleans())
    def claim(self, *, patience: bool) -> None:
        """Claim it, whatever its status."""
        self.take(patience=patience)

    @precondition(lambda self: self.operation.status is Status.QUEUED)
    @rule(patience=st.booleans())
    def claim_what_waits(self, *, patience: bool) -> None:
        """Claim once more: most rules need a claim first, so it must not be drawn as rarely as one of them."""
        self.take(patience=patience)

    def take(self, *, patience: bool) -> None:
        """Let a worker take it, as soon as it is due if the worker is patient."""
        before = self.operation
        if patience and before.status is Status.QUEUED:
            self.now = max(self.now, before.run_at)
        change = transitions.claim(before, worker="w", lease_until=self.now + LEASE, now=self.now)
        due = before.status is Status.QUEUED and before.run_at <= self.now
        assert (change is not None) == due
        if change is not None:
            self.apply(change, steps=1)
            assert self.operation.run not in self.runs
            assert self.operation.run == before.run + 1
            self.runs.append(self.operation.run)

    @precondition(lambda self: self.operation.status.held)
    @rule(lag=LAG)
    def renew(self, lag: int) -> None:
        """Extend the lease if it still holds; this is no change."""
        if transitions.renewable(self.operation, run=self.operation.run - lag):
            assert lag == 0
            self.operation = replace(self.operation, lease_until=self.now + LEASE)
            self.seen[-1] = self.operation

    @precondition(lambda self: self.operation.status.held)
    @rule(lag=LAG, entries=ENTRIES, tells=st.booleans())
    def record(self, lag: int, entries: list[Entry], *, tells: bool) -> None:
        """Emit, log and report progress."""
        progress = Progress(fraction=0.5) if tells else None
        write = partial(transitions.record, entries=entries, progress=progress, now=self.now)
        self.write(lag, write, steps=len(entries) + tells)

    @precondition(lambda self: self.operation.status.held)
    @rule(lag=LAG, really=RARELY)
    def succeed(self, lag: int, *, really: bool) -> None:
        """Return."""
        if (lag or really) and self.write(lag, partial(transitions.succeed, result=RESULT, now=self.now)):
            assert self.operation.status is Status.SUCCEEDED

    @precondition(lambda self: self.operation.status.held)
    @rule(lag=LAG, retry=st.none() | WAITS)
    def fail(self, lag: int, retry: timedelta | None) -> None:
        """Raise."""
        before = self.operation
        at = None if retry is None else self.now + retry
        if self.write(lag, partial(transitions.fail, error=PROBLEM, retry_at=at, now=self.now)):
            again = self.operation.status is Status.QUEUED
            allowed = retry is not None and before.attempt < before.max_attempts
            assert again == (allowed and before.status is Status.RUNNING)
            assert self.operation.attempt == before.attempt

    @precondition(lambda self: self.operation.status.held)
    @rule(lag=LAG, wait=WAITS)
    def retry_later(self, lag: int, wait: timedelta) -> None:
        """Ask for another time."""
        before = self.operation
        if self.write(lag, partial(transitions.retry_later, at=self.now + wait, now=self.now)):
            self.was_given_back(before)

    @precondition(lambda self: self.operation.status.held)
    @rule(lag=LAG)
    def drain(self, lag: int) -> None:
        """Stop because of a drain, or of a cancel."""
        before = self.operation
        if self.write(lag, partial(transitions.release, now=self.now)):
            self.was_given_back(before)

    @precondition(lambda self: self.operation.status.held)
    @rule(lag=LAG)
    def lose(self, lag: int) -> None:
        """Find the worker dead."""
        before = self.operation
        if self.write(lag, partial(transitions.lose, now=self.now)) and before.status is Status.RUNNING:
            assert self.operation.losses == before.losses + 1
            expected = Status.FAILED if self.operation.losses == before.max_losses else Status.QUEUED
            assert self.operation.status is expected

    @precondition(lambda self: self.operation.status.held)
    @rule(lag=LAG, patience=st.booleans())
    def expire_lease(self, lag: int, *, patience: bool) -> None:
        """Let the reaper look at the lease, once it has ended if the reaper is patient."""
        before = self.operation
        if patience and before.lease_until is not None:
            self.now = max(self.now, before.lease_until)
        change: Change | None = None
        with suppress(LeaseLost):
            change = transitions.expire_lease(before, run=before.run - lag, now=self.now)
        ended = before.lease_until is not None and before.lease_until <= self.now
        assert (change is not None) == (ended and lag == 0)
        if change is not None:
            self.apply(change, steps=1)

    @rule()
    def expire_deadline(self) -> None:
        """Let the reaper look at the deadline."""
        before = self.operation
        change = transitions.expire_deadline(before, now=self.now)
        if change is not None:
            assert before.status in {Status.QUEUED, Status.RUNNING}
            self.apply(change, steps=1)
            assert self.operation.status is Status.FAILED

    @rule(really=RARELY)
    def cancel(self, *, really: bool) -> None:
        """Ask for a cancel: it fails only where the end is already another one."""
        before = self.operation
        if not before.status.held and not really:
            return
        try:
            change = transitions.request_cancel(before, now=self.now)
        except OperationFinished:
            assert before.status in {Status.SUCCEEDED, Status.FAILED}
            return
        self.apply(change, steps=int(before.status in {Status.QUEUED, Status.RUNNING}))
        assert self.operation.status in {Status.CANCELLING, Status.CANCELLED}
        assert self.operation.status.held == before.status.held

    @rule()
    def workers_come_back_from_the_dead(self) -> None:
        """Let every run that ever was try every write, but for the one that holds the operation."""
        writes: list[Callable[..., Change]] = [
            partial(transitions.succeed, result=RESULT, now=self.now),
            partial(transitions.fail, error=PROBLEM, retry_at=self.now, now=self.now),
            partial(transitions.record, entries=[Output("1")], now=self.now),
            partial(transitions.retry_later, at=self.now, now=self.now),
            partial(transitions.release, now=self.now),
            partial(transitions.lose, now=self.now),
        ]
        for lag in range(int(self.operation.status.held), self.operation.run + 1):
            for write in writes:
                assert not self.write(lag, write)

    # --- the store --------------------------------------------------------------------------------------------

    def write(self, lag: int, transition: Callable[..., Change], *, steps: int = 1) -> bool:
        """Apply a write of a run; tell whether it was accepted. Only the holder's may be."""
        run = self.operation.run - lag
        try:
            change = transition(self.operation, run=run)
        except LeaseLost:
            assert lag != 0 or not self.operation.status.held
            return False
        assert lag == 0
        assert self.operation.status.held
        self.apply(change, steps=steps)
        return True

    def apply(self, change: Change, *, steps: int) -> None:
        """Write a change as a store does."""
        before, after = self.operation, change.operation
        assert change.follows == before.version
        assert after.version == before.version + steps
        assert change.empty == (steps == 0)
        if change.empty:
            assert after == before
            return
        assert not before.done
        versions = [event.version for event in change.events]
        assert versions == sorted(set(versions))
        assert all(before.version < version <= after.version for version in versions)
        self.operation = after
        self.rows += change.events
        self.seen.append(after)

    def was_given_back(self, before: Operation) -> None:
        """Check that no attempt was counted, or that the cancel was the end."""
        if before.status is Status.CANCELLING:
            assert self.operation.status is Status.CANCELLED
        else:
            assert self.operation.status is Status.QUEUED
            assert self.operation.attempt == before.attempt - 1

    # --- what always holds ------------------------------------------------------------------------------------

    @invariant()
    def a_terminal_status_never_changes(self) -> None:
        """Not even its version."""
        for earlier, later in zip(self.seen, self.seen[1:], strict=False):
            assert not earlier.done
            assert earlier.version < later.version

    @invariant()
    def counts_stay_within_their_bounds(self) -> None:
        """No operation goes round for ever."""
        operation = self.operation
        assert 0 <= operation.attempt <= operation.max_attempts
        assert 0 <= operation.losses <= operation.max_losses
        assert operation.attempt <= operation.run
        assert operation.run == len(self.runs)

    @invariant()
    def the_parts_of_the_record_fit_its_status(self) -> None:
        """Find a lease while held, a result on success, an error on failure, an end when done."""
        operation = self.operation
        status = operation.status
        assert (operation.worker is not None) == status.held
        assert (operation.lease_until is not None) == status.held
        assert (operation.result is not None) == (status is Status.SUCCEEDED)
        assert (operation.error is not None) == (status is Status.FAILED)
        assert (operation.finished_at is not None) == operation.done
        assert (operation.expires_at is not None) == operation.done
        if status in {Status.CANCELLING, Status.CANCELLED}:
            assert operation.cancel_requested_at is not None

    @invariant()
    def the_log_tells_the_whole_life(self) -> None:
        """From version 1 to the last, strictly rising, with holes only where progress was superseded."""
        operation = self.operation
        log = history(operation, self.rows, after=0)
        versions = [event.version for event in log]
        assert versions == sorted(set(versions))
        assert (versions[0], versions[-1]) == (1, operation.version)
        terminal = [event for event in log if event.type is EventType.DONE]
        assert len(terminal) == operation.done
        superseded = {each.progress_version for each in self.seen} - {operation.progress_version}
        assert set(range(1, operation.version + 1)) - set(versions) == superseded - {0}

    @invariant()
    def what_comes_after_any_version_is_the_end_of_the_log(self) -> None:
        """Let a reader resume anywhere."""
        log = history(self.operation, self.rows, after=0)
        for after in range(self.operation.version + 2):
            rest = history(self.operation, self.rows, after=after)
            assert rest == log[len(log) - len(rest) :]
            assert all(event.version > after for event in rest)
            assert len(rest) == sum(event.version > after for event in log)


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
