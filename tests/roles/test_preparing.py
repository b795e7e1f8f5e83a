"""Runs whose files are still being fetched: they hold a lease and a slot, and can be cancelled or given back."""

from __future__ import annotations

import asyncio

import pytest

from raincheck.core import transitions
from raincheck.core.errors import StoreUnavailable
from raincheck.core.operation import Status
from raincheck.core.outcome import Returned
from raincheck.ports import Lease, Renewal
from raincheck.testing.conformance.specimens import NOW, started
from tests.roles.house import House

pytestmark = pytest.mark.anyio


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
