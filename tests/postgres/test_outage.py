"""The database goes away in the middle: nothing that was answered is lost, and nothing is answered wrongly."""

from __future__ import annotations

import asyncio
import itertools

import asyncpg
import pytest

from raincheck.core import transitions
from raincheck.core.errors import StoreUnavailable
from raincheck.core.events import Output
from raincheck.core.operation import Operation, Status
from raincheck.ports import Accepted, Lease
from raincheck.stores.postgres import writer as writer_module
from raincheck.testing.conformance.specimens import (
    LEASE_END,
    NOW,
    Watcher,
    a_claim,
    an_operation,
    record_of,
    started,
    submitted,
    succeed,
)
from tests.postgres.proxy import Proxy

pytestmark = pytest.mark.anyio
_NUMBERS = itertools.count(1)


@pytest.fixture
def url(fragile):
    """The URL of a schema on a server that tests stop."""
    return f"{fragile.url()}?schema=outage_{next(_NUMBERS)}"


@pytest.fixture
async def proxy(fragile):
    """A proxy before that server."""
    async with Proxy(fragile.port) as proxy:
        yield proxy


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_submits_over_a_restart_are_accepted_or_refused_and_never_lost(fragile, open_store, url, mode):
    """Each answer is true: what was accepted is there, what was refused is not."""
    store = await open_store(url)
    operations = [an_operation() for _ in range(400)]

    async def submit_all(mine):
        answers = []
        for operation in mine:
            try:
                answers.append(await store.submit(operation))
            except StoreUnavailable as error:
                answers.append(error)
        return answers

    lanes = [asyncio.ensure_future(submit_all(operations[start::8])) for start in range(8)]
    await store.submit(an_operation())
    await asyncio.to_thread(fragile.restart, mode)
    answers = await asyncio.gather(*lanes)
    for start, lane in enumerate(answers):
        for operation, answer in zip(operations[start::8], lane, strict=True):
            kept = await store.get(operation.id)
            assert kept == (operation if answer == Accepted(operation) else None), answer
    assert sum(isinstance(answer, Accepted) for lane in answers for answer in lane) > 0


async def test_a_store_that_lost_its_server_refuses_in_time_and_recovers(fragile, open_store, url, monkeypatch):
    """Callers get 503 with a time to wait, not a hanging request; afterwards all works as before."""
    monkeypatch.setattr(writer_module, "PATIENCE", 0.3)
    store = await open_store(url)
    running = await started(store)
    await asyncio.to_thread(fragile.stop, "immediate")
    try:
        refused = [an_operation() for _ in range(5)]
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*[store.submit(each) for each in refused], return_exceptions=True)
        assert [type(answer) for answer in answers] == [StoreUnavailable] * 5
        assert {answer.retry_after for answer in answers} == {1}
        with pytest.raises(StoreUnavailable):
            await store.get(running.id)
        with pytest.raises(StoreUnavailable):
            await store.renew([Lease(running.id, 1)], lease_until=LEASE_END)
    finally:
        await asyncio.to_thread(fragile.start)
    assert (await succeed(store, running.id)).status is Status.SUCCEEDED
    assert await store.renew([Lease(running.id, 1)], lease_until=LEASE_END)
    for operation in refused:
        assert await store.get(operation.id) is None


async def test_a_submit_whose_answer_is_lost_is_accepted_once(fragile, open_store, url, proxy):
    """The commit happened: running it again finds it by its id."""
    store = await open_store(proxy.url(url, fragile.port))
    watcher = Watcher(store)
    await submitted(store)
    operation = an_operation(idempotency_key="k", fingerprint="f")
    proxy.lose_answer_to(operation.id.encode())
    assert await store.submit(operation) == Accepted(operation)
    assert proxy.lost.is_set()
    assert await record_of(store, operation.id) == operation
    assert [change.operation.id for change in await watcher.heard(2)].count(operation.id) == 1


async def test_a_change_whose_answer_is_lost_is_written_once(fragile, open_store, url, proxy):
    """The server is asked what became of the transaction, so output is not doubled and a result counts."""
    store = await open_store(proxy.url(url, fragile.port))
    running = await started(store)

    def emit(record: Operation) -> transitions.Change:
        return transitions.record(record, run=1, entries=[Output("1")], now=NOW)

    proxy.lose_answer_to(b"COMMIT")
    assert (await store.change(running.id, emit)).version == 3
    assert proxy.lost.is_set()
    proxy.lose_answer_to(b"COMMIT")
    assert (await succeed(store, running.id)).version == 4
    assert proxy.lost.is_set()
    record, events = (await store.events_after({running.id: 0}))[running.id]
    assert (record.version, record.output_events) == (4, 1)
    assert [event.version for event in events] == [1, 2, 3, 4]


async def test_a_claim_whose_answer_is_lost_is_given_out_once(fragile, open_store, url, proxy):
    """The worker gets what was leased to it, not a second lease."""
    store = await open_store(proxy.url(url, fragile.port))
    operation = await submitted(store)
    proxy.lose_answer_to(b"COMMIT")
    [claimed] = await store.claim(a_claim())
    assert proxy.lost.is_set()
    assert (claimed.id, claimed.run) == (operation.id, 1)
    assert (await record_of(store, operation.id)).run == 1


async def test_a_connection_cut_before_the_commit_is_tried_again(fragile, open_store, url, proxy):
    """Nothing was written, so the whole transaction runs once more."""
    store = await open_store(proxy.url(url, fragile.port))
    running = await started(store)
    proxy.lose_answer_to(b"FOR UPDATE")
    proxy.cut()
    assert (await succeed(store, running.id)).status is Status.SUCCEEDED
    events = (await store.events_after({running.id: 0}))[running.id][1]
    assert [event.version for event in events] == [1, 2, 3]


async def test_a_submit_in_doubt_is_said_to_be_and_withdrawn(fragile, open_store, url, proxy, monkeypatch):
    """Nobody was told that it counts, so it does not run later as a surprise."""
    monkeypatch.setattr(writer_module, "DOUBT", 0.2)
    store = await open_store(proxy.url(url, fragile.port))
    await submitted(store)
    operation = an_operation(idempotency_key="k", fingerprint="f")
    proxy.lose_answer_to(operation.id.encode())
    proxy.refuse = True
    with pytest.raises(StoreUnavailable, match="is not known"):
        await store.submit(operation)
    proxy.refuse = False
    again = an_operation(idempotency_key="k", fingerprint="f")
    assert await store.submit(again) == Accepted(again)
    assert await store.get(operation.id) is None


async def test_one_unit_that_cannot_be_written_harms_no_other(open_store, url):
    """A batch that fails as a whole runs again one by one."""
    store = await open_store(url)
    fresh = [an_operation() for _ in range(5)]
    broken = an_operation(priority=1 << 70)
    answers = await asyncio.gather(*[store.submit(each) for each in (*fresh, broken)], return_exceptions=True)
    assert answers[:5] == [Accepted(each) for each in fresh]
    assert isinstance(answers[5], Exception)
    assert await store.get(broken.id) is None


async def test_a_store_that_closes_while_the_server_is_away_ends_soon(fragile, open_store, url, monkeypatch):
    """A shutdown is not held up by an outage."""
    monkeypatch.setattr(writer_module, "PATIENCE", 0.2)
    store = await open_store(url)
    await asyncio.to_thread(fragile.stop, "immediate")
    try:
        waiting = asyncio.ensure_future(store.submit(an_operation()))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await store.close()
        with pytest.raises(StoreUnavailable):
            await waiting
    finally:
        await asyncio.to_thread(fragile.start)


@pytest.mark.parametrize("number", ["another's", "of the future"])
async def test_a_number_that_a_crash_has_given_away_is_no_proof(open_store, url, monkeypatch, number):
    """What never reached the disk leaves its number to others: the change is written, though that has committed."""
    store = await open_store(url)
    running = await started(store)
    other = await asyncpg.connect(store.database.url)
    taken = await other.fetchval("SELECT pg_current_xact_id()::text")
    await other.close()
    alter, execute = store._transaction.alter, asyncpg.Connection.execute
    given = [taken if number == "another's" else str(int(taken) + 1_000_000)]

    async def numbered(connection, units):
        found = await alter(connection, units)
        return given[0] if given else found

    async def crashing(connection, query, *arguments, **options):
        if query == "COMMIT" and given:
            given.clear()
            connection.terminate()
            raise asyncpg.ConnectionDoesNotExistError
        return await execute(connection, query, *arguments, **options)

    monkeypatch.setattr(store._transaction, "alter", numbered)
    monkeypatch.setattr(asyncpg.Connection, "execute", crashing)
    assert (await succeed(store, running.id)).status is Status.SUCCEEDED
    assert not given
    record, events = (await store.events_after({running.id: 0}))[running.id]
    assert (record.status, [event.version for event in events]) == (Status.SUCCEEDED, [1, 2, 3])
