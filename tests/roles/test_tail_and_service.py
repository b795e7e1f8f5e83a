"""Waiting readers are woken by this process's commits and, deaf or not, by those of others; submits are bounded."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest

from raincheck.core import transitions
from raincheck.core.errors import Draining, IdempotencyKeyReused, QueueFull
from raincheck.core.retry import Retry
from raincheck.ids import Ids
from raincheck.ports import Accepted, Replayed
from raincheck.ports_functions import Kind
from raincheck.roles import tail as tail_module
from raincheck.roles.durations import Durations
from raincheck.roles.feed import Feed
from raincheck.roles.service import Service, Submission
from raincheck.roles.tail import Tail
from raincheck.stores.sqlite import SqliteStore
from raincheck.stores.sqlite.overview import SqliteOverview
from raincheck.testing.conformance.specimens import NOW, RESULT, SECOND, started, submitted

pytestmark = pytest.mark.anyio
KIND = Kind(
    name="report",
    function=print,
    executor="async",
    retry=Retry(),
    timeout=None,
    max_losses=3,
    retention=SECOND,
    memory_limit=None,
    queue="default",
    priority=0,
    wait=0 * SECOND,
    binding=None,
)


@pytest.fixture
async def tail(store):
    """Provide a started tail that hears of this process's commits only by the test's own hand."""
    made = Tail(store=store)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def service(store, tail):
    """Provide a service with a queue of three."""
    return Service(
        store=store,
        blobs=None,
        tail=tail,
        durations=Durations(),
        kinds={"report": KIND},
        clock=lambda: NOW,
        new_id=Ids().at,
        max_queued=3,
    )


async def finish(store, operation):
    """Let an operation succeed."""
    return await store.change(
        operation.id, lambda found: transitions.succeed(found, run=operation.run, result=RESULT, now=NOW)
    )


async def test_a_commit_of_this_process_wakes_the_reader_without_a_query(store, tail, service, monkeypatch):
    """The record comes with the commit; the store is not asked again."""
    store.subscribe(tail.committed)
    operation = await started(store)
    waiting = asyncio.ensure_future(service.wait(operation.id, owner="", seconds=30))
    while not tail._watchers:
        await asyncio.sleep(0)
    monkeypatch.setattr(store, "events_after", None)
    await finish(store, operation)
    assert (await asyncio.wait_for(waiting, 5)).done


async def test_a_notice_wakes_the_reader_of_what_another_process_wrote(store, tail, service, monkeypatch):
    """One query after a signal serves all watched operations."""
    monkeypatch.setattr(tail_module, "_POLL", 3600)
    operation = await started(store)
    waiting = asyncio.ensure_future(service.wait(operation.id, owner="", seconds=30))
    while not tail._watchers:
        await asyncio.sleep(0)
    await finish(store, operation)
    tail.notice()
    assert (await asyncio.wait_for(waiting, 5)).done


async def test_a_deaf_process_finds_the_change_by_polling(store, service, monkeypatch):
    """Without any signal only latency changes."""
    monkeypatch.setattr(tail_module, "_POLL", 0.01)
    deaf = Tail(store=store)
    service._tail = deaf
    operation = await started(store)
    waiting = asyncio.ensure_future(service.wait(operation.id, owner="", seconds=30))
    while not deaf._watchers:
        await asyncio.sleep(0)
    await finish(store, operation)
    await deaf.start()
    try:
        assert (await asyncio.wait_for(waiting, 5)).done
    finally:
        await deaf.stop()


async def test_a_change_that_comes_while_the_record_is_read_is_not_missed(store, tail, service, monkeypatch):
    """The watcher saw the end before the waiter began to wait: it must not wait for another."""
    store.subscribe(tail.committed)
    operation = await started(store)
    read = store.get

    async def slow_get(operation_id):
        found = await read(operation_id)
        await finish(store, operation)
        return found

    monkeypatch.setattr(store, "get", slow_get)
    found = await asyncio.wait_for(service.wait(operation.id, owner="", seconds=30), 5)
    assert found.done


async def test_a_broken_query_does_not_end_the_feeding(store, tail, service, monkeypatch):
    """An unexpected error is logged and the next notice is served."""
    operation = await started(store)
    query = store.events_after
    broken = asyncio.Event()

    async def breaking(cursors):
        if not broken.is_set():
            broken.set()
            raise ValueError("a bug")
        return await query(cursors)

    monkeypatch.setattr(store, "events_after", breaking)
    waiting = asyncio.ensure_future(service.wait(operation.id, owner="", seconds=30))
    while not tail._watchers:
        await asyncio.sleep(0)
    tail.notice()
    await broken.wait()
    await finish(store, operation)
    tail.notice()
    assert (await asyncio.wait_for(waiting, 5)).done


async def test_an_owner_who_leaves_during_a_look_takes_nothing_from_the_others(store, tail, monkeypatch):
    """The look goes on with the next one, instead of ending with an error in the log."""
    leaving, staying = Feed(), Feed()
    tail.enter_owner("first", leaving, now=NOW)
    tail.enter_owner("second", Feed(), now=NOW)
    tail.enter_owner("third", staying, now=NOW)
    second = next(iter(tail._owner_feeds["second"]))
    changed_since = store.changed_since

    async def meanwhile(owner, since):
        if owner == "first":
            tail.leave_owner("second", second)
        return await changed_since(owner, since)

    monkeypatch.setattr(store, "changed_since", meanwhile)
    await submitted(store, owner="third")
    await tail.run_once()
    assert [portion.operation.owner for portion in staying.take()] == ["third"]
    tail.leave_owner("first", leaving)
    tail.leave_owner("third", staying)


async def test_a_drain_ends_waits_early_with_the_state_as_it_is(store, tail, service):
    """Waiting readers get an answer before the server goes, and submits are refused."""
    operation = await submitted(store)
    waiting = asyncio.ensure_future(service.wait(operation.id, owner="", seconds=30))
    while not tail._watchers:
        await asyncio.sleep(0)
    tail.drain()
    assert not (await asyncio.wait_for(waiting, 5)).done
    service.draining = True
    with pytest.raises(Draining):
        await service.submit(submission(service))


def submission(service, **fields):
    """Return a submission of an empty request."""
    return replace(Submission(id=service.new_id(), kind=KIND, owner="", input="{}"), **fields)


async def test_the_queue_is_bounded_and_opens_again(store, service, monkeypatch):
    """What is above the bound gets 429; once work has left the queue, submits are accepted again."""
    monkeypatch.setattr("raincheck.roles.service._RECOUNT", 0.0)
    for _ in range(3):
        assert isinstance(await service.submit(submission(service)), Accepted)
    with pytest.raises(QueueFull):
        await service.submit(submission(service))
    first = next(iter(store._operations.values()))
    await store.change(first.id, lambda found: transitions.request_cancel(found, now=NOW))
    assert isinstance(await service.submit(submission(service)), Accepted)


async def test_who_comes_during_a_count_is_not_refused_for_what_left_the_queue_long_ago(store, service, monkeypatch):
    """The bound only ever grows until it is counted anew, which a server that is up for days does now and then."""
    for _ in range(3):
        await service.submit(submission(service))
    for each in list(store._operations.values()):
        await store.change(each.id, lambda found: transitions.request_cancel(found, now=NOW))
    depth = store.queue_depth
    counts = 0

    async def slow(*, limit):
        nonlocal counts
        counts += 1
        await asyncio.sleep(0)
        return await depth(limit=limit)

    monkeypatch.setattr(store, "queue_depth", slow)
    await asyncio.gather(*(service.check_room() for _ in range(5)))
    assert counts == 1


async def test_a_key_gives_one_operation_and_refuses_another_request(service):
    """Same key and fingerprint: the same operation; another fingerprint: refused."""
    first = await service.submit(submission(service, idempotency_key="k", fingerprint="a"))
    again = await service.submit(submission(service, idempotency_key="k", fingerprint="a"))
    assert isinstance(again, Replayed)
    assert again.operation.id == first.operation.id
    with pytest.raises(IdempotencyKeyReused):
        await service.submit(submission(service, idempotency_key="k", fingerprint="b"))


async def test_an_operator_hears_of_every_owner_also_from_other_processes(tmp_path):
    """What this process commits comes by itself, what another one commits with the next look; each is told once."""
    path = tmp_path / "raincheck.db"
    async with contextlib.AsyncExitStack() as stack:
        here, there, overview = SqliteStore(path), SqliteStore(path), SqliteOverview(path)
        for opened in (here, there, overview):
            await opened.open()
            stack.push_async_callback(opened.close)
        tail = Tail(store=here, overview=overview)
        here.subscribe(tail.committed)
        feed = Feed()
        tail.enter_owner(None, feed, now=NOW)
        mine = await submitted(here, owner="ada")
        await asyncio.sleep(0)
        assert [portion.operation.id for portion in feed.take()] == [mine.id]
        foreign = await submitted(there, owner="bo")
        assert [*feed.take()] == []
        await tail.run_once()
        assert foreign.id in [portion.operation.id for portion in feed.take()]
        tail.leave_owner(None, feed)
        await submitted(here, owner="ada")
        assert [*feed.take()] == []


async def test_the_end_that_another_process_wrote_is_shown_with_its_result(tmp_path):
    """The list of what changed has no results; whoever hears of an end sees the whole operation all the same."""
    path = tmp_path / "raincheck.db"
    async with contextlib.AsyncExitStack() as stack:
        here, there = SqliteStore(path), SqliteStore(path)
        for opened in (here, there):
            await opened.open()
            stack.push_async_callback(opened.close)
        tail = Tail(store=here)
        feed = Feed()
        tail.enter_owner("ada", feed, now=NOW)
        foreign = await submitted(there, owner="ada")
        lease = {"worker": "w", "lease_until": NOW + 15 * SECOND, "now": NOW}
        await there.change(foreign.id, lambda found: transitions.claim(found, **lease))
        await there.change(foreign.id, lambda found: transitions.succeed(found, run=1, result=RESULT, now=NOW))
        await tail.run_once()
        assert feed.take()[-1].operation.result == RESULT


async def test_without_figures_an_operator_hears_of_this_process_alone(store):
    """A store of others' making need not answer what the page asks."""
    tail = Tail(store=store)
    store.subscribe(tail.committed)
    feed = Feed()
    tail.enter_owner(None, feed, now=NOW)
    await submitted(store, owner="ada")
    await tail.run_once()
    assert len(feed.take()) == 1
