"""The runner turns outcomes into fenced writes, stops what lost its lease, and hands back what a drain interrupts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from raincheck.core import transitions
from raincheck.core.errors import StoreUnavailable
from raincheck.core.events import EventType
from raincheck.core.operation import Problem, Status
from raincheck.core.outcome import AskedToRetry, Died, Interrupted, Raised, Returned
from raincheck.core.retry import Retry
from raincheck.ports import Lease, Renewal
from raincheck.roles import outcomes as outcomes_module
from raincheck.roles.handover import Handover
from raincheck.roles.pruner import Pruner
from raincheck.stores.blobs import LocalBlobs
from raincheck.testing.conformance.specimens import NOW, SECOND, started, submitted
from tests.roles.house import House

pytestmark = pytest.mark.anyio


PROBLEM = Problem(code="unhandled-error", title="It broke")


@pytest.mark.parametrize(
    ("outcome", "status", "attempt", "losses"),
    [
        (Returned(body=b"3", media_type="application/json"), Status.SUCCEEDED, 1, 0),
        (Raised(error=PROBLEM), Status.FAILED, 1, 0),
        (Raised(error=PROBLEM, retryable=True), Status.QUEUED, 1, 0),
        (AskedToRetry(after=timedelta(seconds=5)), Status.QUEUED, 0, 0),
        (Died(reason="killed"), Status.QUEUED, 0, 1),
        (Interrupted(), Status.FAILED, 1, 0),
    ],
)
async def test_each_outcome_becomes_its_transition(house, outcome, status, attempt, losses):
    """Only failures of the code count as attempts; deaths count as losses."""
    operation = await house.begin(max_attempts=2)
    house.executors["async"].end(operation, outcome)
    found = await house.over(operation)
    assert (found.status, found.attempt, found.losses) == (status, attempt, losses)


async def test_what_was_told_last_is_written_with_the_outcome(house):
    """Output that nobody had written yet comes before the end, in one change."""
    operation = await house.begin()
    house.executors["async"].invocation.context.emit("last words")
    house.executors["async"].end(operation, Returned(body=b"1"))
    found = await house.over(operation)
    _, events = (await house.store.events_after({operation.id: 0}))[operation.id]
    assert [event.type for event in events][-2:] == [EventType.OUTPUT, EventType.DONE]
    assert [event.version for event in events] == list(range(1, found.version + 1))


async def test_a_worker_that_lost_its_lease_writes_nothing(house):
    """The heartbeat says so: the function is stopped, and what it returns all the same is dropped."""
    house.executors["async"].deaf = True
    operation = await house.begin()
    lost = await house.store.change(operation.id, lambda found: transitions.lose(found, run=1, now=NOW))
    house.runner.renewed(Renewal(frozenset({Lease(operation.id, 1)}), frozenset()))
    assert house.executors["async"].invocation.context.cancelled
    house.executors["async"].invocation.context.emit("too late")
    house.executors["async"].end(operation, Returned(body=b"stale"))
    assert await house.over(operation) == lost


async def test_even_a_worker_that_was_not_told_is_fenced(house, monkeypatch):
    """The fence is in the write, not in the telling."""
    operation = await house.begin()
    house.runner.committed = None
    house.store._listeners.clear()
    lost = await house.store.change(operation.id, lambda found: transitions.lose(found, run=1, now=NOW))
    house.executors["async"].end(operation, Returned(body=b"stale"))
    assert await house.over(operation) == lost


async def test_a_store_that_is_away_delays_the_outcome_and_drops_nothing(house, monkeypatch):
    """The result waits until it can be written."""
    monkeypatch.setattr(outcomes_module, "_PATIENCE", 0.001)
    operation = await house.begin()
    change = house.store.change
    refusals = iter([StoreUnavailable("away")] * 3)

    async def refusing(operation_id, transition):
        for refusal in refusals:
            raise refusal
        return await change(operation_id, transition)

    monkeypatch.setattr(house.store, "change", refusing)
    house.executors["async"].end(operation, Returned(body=b"1"))
    assert (await house.over(operation)).status is Status.SUCCEEDED


async def test_an_outcome_that_cannot_be_written_fails_the_operation_once(house, caplog):
    """Left to its lease, the function would run again as often as workers may be lost, for the same end."""
    operation = await house.begin()
    problem = Problem(code="own", title="Own", extensions={("no", "text"): 1})
    house.executors["async"].end(operation, Raised(error=problem))
    change = house.store.change

    async def as_sqlite_does(operation_id, transition):
        def rendered(found):
            changed = transition(found)
            if changed.operation.error is problem:
                raise TypeError("keys must be str")
            return changed

        return await change(operation_id, rendered)

    house.store.change = as_sqlite_does
    found = await house.over(operation)
    assert (found.status, found.error.code, found.run) == (Status.FAILED, "unhandled-error", 1)
    assert "keys must be str" in caplog.text


async def test_what_a_run_tells_and_no_store_can_write_fails_it_with_a_word_in_the_log(house, caplog):
    """Taken for a lost lease, it would be run again and again, and nobody would learn why."""
    operation = await house.begin()
    change = house.store.change
    broken = TypeError("what it told has no JSON form")

    async def refusing(operation_id, transition):
        changed = transition(await house.store.get(operation_id))
        if changed.operation.progress is not None:
            raise broken
        return await change(operation_id, transition)

    house.store.change = refusing
    house.executors["async"].invocation.context.progress(1, 2)
    found = await house.over(operation)
    assert (found.status, found.error.code) == (Status.FAILED, "unhandled-error")
    assert str(broken) in caplog.text


@pytest.mark.parametrize("backoff", [lambda failures: -1, lambda failures: None, lambda failures: 1 / 0])
async def test_a_backoff_that_gives_no_seconds_still_tries_again(store, tmp_path, caplog, backoff):
    """The application's own function is called while the outcome is written, which it must not prevent."""
    house = House(store, tmp_path)
    kinds = house.runner._kinds
    kinds["report"] = replace(kinds["report"], retry=Retry(attempts=2, backoff=backoff))
    operation = await house.begin(max_attempts=2)
    house.executors["async"].end(operation, Raised(error=PROBLEM, retryable=True))
    found = await house.over(operation)
    assert (found.status, found.attempt, found.run_at) == (Status.QUEUED, 1, NOW + SECOND)
    assert "backoff" in caplog.text


async def test_a_drain_lets_finish_what_can_and_releases_the_rest(house):
    """Within the grace work may finish; then it is interrupted and its attempt uncounted."""
    operation = await house.begin()
    assert await house.runner.drain(0.0)
    found = await house.store.get(operation.id)
    assert (found.status, found.attempt, found.run_at) == (Status.QUEUED, 0, operation.run_at)


async def test_a_thread_that_goes_on_keeps_its_lease_at_a_drain(house):
    """Released, another worker would run it beside the living thread; so the drain says that something is left."""
    house.executors["thread"].deaf = True
    operation = await house.begin(kind="image")
    assert not await house.runner.drain(0.0)
    assert house.executors["thread"].invocation.context.cancelled
    assert (await house.store.get(operation.id)).status is Status.RUNNING
    house.executors["thread"].end(operation, Returned(body=b"1"))
    await house.over(operation)


async def test_a_time_limit_fails_the_run_at_once_and_drops_what_it_returns(store, tmp_path):
    """Also while the function goes on, as an overrunning thread does."""
    house = House(store, tmp_path, timeout=timedelta(milliseconds=10))
    house.executors["thread"].deaf = True
    failed = asyncio.Event()
    store.subscribe(lambda changes: [failed.set() for change in changes if change.operation.done])
    operation = await house.begin(kind="image")
    await asyncio.wait_for(failed.wait(), 5)
    ended = await store.get(operation.id)
    assert (ended.status, ended.error.code) == (Status.FAILED, "deadline-exceeded")
    house.executors["thread"].end(operation, Returned(body=b"late"))
    assert await house.over(operation) == ended


async def test_values_are_handed_over_to_a_first_run_only_and_not_when_off(store, tmp_path):
    """A second run, or one with the hand-over off, validates the stored request."""
    on = House(store, tmp_path)
    operation = await submitted(store)
    on.handover.give(operation.id, {"order": 1})
    from raincheck.testing.conformance.specimens import start

    first = await start(store, operation.id)
    on.runner.start(first)
    await on.executors["async"].began.wait()
    assert on.executors["async"].invocation.values == {"order": 1}
    on.executors["async"].end(first, Returned(body=b"1"))
    await on.over(first)

    off = Handover(0)
    off.give("op", {"order": 1})
    assert off.take("op") is None
    bounded = Handover(2)
    for name in "abc":
        bounded.give(name, {})
    assert [bounded.take(name) for name in "abc"] == [None, {}, {}]


def test_what_is_handed_over_is_bounded_in_bytes_too():
    """A thousand requests of 100 MiB that wait in the queue must not be kept in memory as models besides."""
    handover = Handover(1000, most_bytes=100)
    for name in "abc":
        handover.give(name, {"name": name}, size=40)
    handover.give("large", {}, size=101)
    assert [handover.take(name) for name in ("a", "b", "large")] == [None, {"name": "b"}, None]
    handover.give("d", {}, size=60)
    assert handover.take("c") == {"name": "c"}
    assert handover.take("d") == {}
    assert handover._bytes == 0


async def test_the_pruner_forgets_what_has_expired_and_nothing_else(house, tmp_path):
    """Records become tombstones and their files go; what is unfinished never expires."""
    old, fresh, waiting = [await started(house.store, retention=day * 24 * 3600 * SECOND) for day in (1, 7, 1)]
    for operation in (old, fresh):
        await house.store.change(operation.id, lambda found: transitions.fail(found, run=1, error=PROBLEM, now=NOW))
    folder = tmp_path / "blobs" / old.id / "1"
    folder.mkdir(parents=True)
    pruner = Pruner(store=house.store, blobs=LocalBlobs(tmp_path / "blobs"), clock=lambda: NOW + 48 * 3600 * SECOND)
    assert await pruner.run_once() == 1
    assert (await house.store.get(old.id)).reason == "expired"
    assert not folder.exists()
    assert (await house.store.get(fresh.id)).status is Status.FAILED
    assert (await house.store.get(waiting.id)).status is Status.RUNNING


async def test_a_cancel_that_another_process_wrote_outranks_a_time_limit_that_passes(store, tmp_path):
    """The limit passes before this process has heard of the cancel; the operation still ends as cancelled."""
    house = House(store, tmp_path, timeout=3600 * SECOND)
    operation = await house.begin()
    listeners, store._listeners = store._listeners, []
    await store.change(operation.id, lambda found: transitions.request_cancel(found, now=NOW))
    store._listeners = listeners
    [run] = house.runner.runs.values()
    house.runner._time_out(run)
    found = await house.over(operation)
    assert (found.status, found.error) == (Status.CANCELLED, None)
