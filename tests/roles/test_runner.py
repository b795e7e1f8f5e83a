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
from raincheck.ports_functions import Kind
from raincheck.roles import outcomes as outcomes_module
from raincheck.roles.handover import Handover
from raincheck.roles.heartbeat import Heartbeat
from raincheck.roles.outcomes import OutcomeWriter
from raincheck.roles.pruner import Pruner
from raincheck.roles.runner import Runner
from raincheck.stores.blobs import LocalBlobs
from raincheck.testing.conformance.specimens import NOW, SECOND, started, submitted

pytestmark = pytest.mark.anyio


class Stage:
    """A fake executor: each run ends when the test says how; interrupting ends it unless it is deaf."""

    def __init__(self, name="async") -> None:
        self.name = name
        self.slots = self.free = 10
        self.deaf = False
        self.runs = {}
        self.began = asyncio.Event()

    async def run(self, invocation):
        if invocation.context.cancelled:
            return Interrupted()
        end = self.runs[invocation.context.id] = asyncio.get_running_loop().create_future()
        self.invocation = invocation
        self.began.set()
        return await end

    def interrupt(self, invocation):
        invocation.context.request_cancel()
        end = self.runs.get(invocation.context.id)
        if end is not None and not end.done() and not self.deaf:
            end.set_result(Interrupted())

    def end(self, operation, outcome):
        self.runs[operation.id].set_result(outcome)


class House:
    """A runner with fake executors on a memory store."""

    def __init__(self, store, folder, *, timeout=None, handover=10) -> None:
        self.store = store
        self.executors = {"async": Stage(), "thread": Stage("thread")}
        self.handover = Handover(handover)
        self.ended = asyncio.Event()
        blobs = LocalBlobs(folder)
        kinds = {
            name: Kind(
                name=name,
                function=print,
                executor=executor,
                retry=Retry(attempts=2),
                timeout=timeout,
                max_losses=3,
                retention=SECOND,
                memory_limit=None,
                queue="default",
                priority=0,
                wait=0 * SECOND,
                binding=None,
            )
            for name, executor in (("report", "async"), ("image", "thread"))
        }
        self.runner = Runner(
            store=store,
            blobs=blobs,
            kinds=kinds,
            executors=self.executors,
            handover=self.handover,
            outcomes=OutcomeWriter(store=store, blobs=blobs, clock=lambda: NOW, chance=lambda: 0.5),
            clock=lambda: NOW,
            max_result=1 << 20,
            app=None,
            ended=self.ended.set,
        )
        store.subscribe(self.runner.committed)

    async def begin(self, **fields):
        """Start an operation and wait until its function runs."""
        operation = await started(self.store, **fields)
        self.runner.start(operation)
        stage = self.executors["thread" if operation.kind == "image" else "async"]
        await asyncio.wait_for(stage.began.wait(), 5)
        stage.began.clear()
        return operation

    async def over(self, operation):
        """Wait for the end of a run; return the record."""
        await asyncio.wait_for(self.ended.wait(), 5)
        self.ended.clear()
        return await self.store.get(operation.id)


@pytest.fixture
async def house(store, tmp_path):
    """Provide a runner with fake executors."""
    return House(store, tmp_path)


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


async def test_a_machine_without_descriptors_gives_the_work_back_uncounted(house):
    """An executor that cannot even start the function is no loss of a worker and no failure of the code."""
    operation = await started(house.store)

    async def exhausted(invocation):
        raise OSError(24, "Too many open files")

    house.executors["async"].run = exhausted
    house.runner.start(operation)
    found = await house.over(operation)
    assert (found.status, found.attempt, found.losses) == (Status.QUEUED, 0, 0)
    assert found.run_at > NOW


@pytest.mark.parametrize("trouble", [StoreUnavailable("away"), OSError(28, "No space left on device")])
async def test_files_that_cannot_be_had_give_the_work_back_uncounted(house, monkeypatch, trouble):
    """Left to its lease it would count as a lost worker; and who waits for the slot must hear that it is free."""

    async def away(operation):
        raise trouble

    monkeypatch.setattr(house.runner, "_input_files", away)
    operation = await started(house.store)
    house.runner.start(operation)
    found = await house.over(operation)
    assert (found.status, found.attempt, found.losses) == (Status.QUEUED, 0, 0)
    assert found.run_at > NOW
    assert (house.runner.held, house.runner.room("async")) == ([], 10)


@pytest.fixture
async def prepared(house, monkeypatch):
    """Start an operation whose files are being looked up, and let the test say when they are found."""
    looking, proceed = asyncio.Event(), asyncio.Event()

    async def slow(operation):
        looking.set()
        await proceed.wait()
        return {}

    monkeypatch.setattr(house.runner, "_input_files", slow)
    operation = await started(house.store)
    house.runner.start(operation)
    await looking.wait()
    return operation, proceed


async def test_the_lease_of_a_run_that_is_being_prepared_is_renewed(house, prepared):
    """Files of a gigabyte take longer than a lease to fetch."""
    operation, proceed = prepared
    assert house.runner.held == [Lease(operation.id, 1)]
    proceed.set()
    await house.executors["async"].began.wait()
    assert house.runner.held == [Lease(operation.id, 1)]
    house.executors["async"].end(operation, Returned(body=b"1"))
    await house.over(operation)
    assert house.runner.held == []


@pytest.mark.parametrize("way", ["written here", "renewal", "watch"])
async def test_a_cancel_that_comes_during_the_preparation_is_not_missed(house, prepared, way):
    """The function is not even begun."""
    operation, proceed = prepared
    lease = Lease(operation.id, 1)
    if way != "written here":
        house.store._listeners = []
    await house.store.change(operation.id, lambda found: transitions.request_cancel(found, now=NOW))
    if way == "renewal":
        house.runner.renewed(Renewal(frozenset(), frozenset({lease})))
    if way == "watch":
        house.runner.cancel([lease])
    proceed.set()
    assert (await house.over(operation)).status is Status.CANCELLED
    assert not house.executors["async"].began.is_set()


@pytest.mark.parametrize("way", ["written here", "renewal"])
async def test_a_lease_that_is_lost_during_the_preparation_is_not_run(house, prepared, way):
    """Another worker may run it by now."""
    operation, proceed = prepared
    if way == "renewal":
        house.runner.renewed(Renewal(frozenset({Lease(operation.id, 1)}), frozenset()))
    else:
        await house.store.change(operation.id, lambda found: transitions.lose(found, run=1, now=NOW))
    proceed.set()
    await house.over(operation)
    assert not house.executors["async"].began.is_set()


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


async def test_a_drain_sees_what_is_still_being_prepared(house, monkeypatch):
    """A run whose files are being looked up is not forgotten: it is handed back, not left to its lease."""
    looking, proceed = asyncio.Event(), asyncio.Event()

    async def slow(operation):
        looking.set()
        await proceed.wait()
        return {}

    monkeypatch.setattr(house.runner, "_input_files", slow)
    operation = await started(house.store)
    house.runner.start(operation)
    await looking.wait()
    draining = asyncio.ensure_future(house.runner.drain(0.0))
    while not house.runner._interrupting:
        await asyncio.sleep(0)
    proceed.set()
    assert await asyncio.wait_for(draining, 5)
    found = await house.store.get(operation.id)
    assert (found.status, found.attempt) == (Status.QUEUED, 0)


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


async def test_the_heartbeat_renews_in_one_batch_and_tells_what_it_learns(house):
    """Leases move, cancels and losses come back; with nothing held nothing is written."""
    kept, cancelled, gone = [await started(house.store) for _ in range(3)]
    await house.store.change(cancelled.id, lambda found: transitions.request_cancel(found, now=NOW))
    await house.store.change(gone.id, lambda found: transitions.lose(found, run=1, now=NOW))
    held = [Lease(each.id, 1) for each in (kept, cancelled, gone)]
    beat = Heartbeat(
        store=house.store, lease=15 * SECOND, clock=lambda: NOW + 60 * SECOND, held=lambda: held, renewed=print
    )
    renewal = await beat.run_once()
    assert renewal == Renewal(frozenset({held[2]}), frozenset({held[1]}))
    assert (await house.store.get(kept.id)).lease_until == NOW + 75 * SECOND
    held.clear()
    assert await beat.run_once() is None


async def test_the_heartbeat_beats_while_the_loop_is_blocked(house):
    """It is a thread of its own: a function that blocks the loop starves no lease."""
    import threading

    operation = await started(house.store)
    beaten = threading.Event()
    renew = house.store.renew

    async def renewing(leases, *, lease_until):
        renewal = await renew(leases, lease_until=lease_until)
        beaten.set()
        return renewal

    house.store.renew = renewing
    beat = Heartbeat(
        store=house.store,
        lease=SECOND / 20,
        clock=lambda: NOW,
        held=lambda: [Lease(operation.id, 1)],
        renewed=lambda renewal: None,
    )
    await beat.start()
    assert beaten.wait(5)  # on purpose without await: the loop stands still
    await beat.stop()


async def test_the_heartbeat_goes_on_after_any_error(house):
    """A store that is away, or a bug, must not end the renewals."""
    import threading

    errors = iter([StoreUnavailable("away"), ValueError("a bug")])
    beaten = threading.Event()

    async def renewing(leases, *, lease_until):
        for error in errors:
            raise error
        beaten.set()
        return Renewal(frozenset(), frozenset())

    house.store.renew = renewing
    beat = Heartbeat(
        store=house.store, lease=SECOND / 20, clock=lambda: NOW, held=lambda: [Lease("op", 1)], renewed=lambda _: None
    )
    await beat.start()
    assert await asyncio.to_thread(beaten.wait, 5)
    await beat.stop()


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


async def test_a_run_that_is_being_prepared_counts_as_a_slot(store, tmp_path):
    """Otherwise more would be claimed than there is room for."""
    house = House(store, tmp_path)
    free = house.runner.room("async")
    operation = await started(store)
    house.runner.start(operation)
    assert house.runner.room("async") == free - 1
    await asyncio.wait_for(house.executors["async"].began.wait(), 5)
    house.executors["async"].end(operation, Returned(body=b"1"))
    await house.over(operation)
    assert house.runner.room("async") == free
