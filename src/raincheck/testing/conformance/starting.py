"""Promise 1 of OperationStore, where a submit takes a claim along: accepted and started in one transaction."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from raincheck.core import transitions
from raincheck.core.events import EventType
from raincheck.core.operation import Status
from raincheck.ports import Accepted, KeyConflict, Lease, Replayed
from raincheck.testing.conformance.specimens import (
    LEASE_END,
    NOW,
    SECOND,
    WORKER,
    Store,
    Watcher,
    a_claim,
    an_operation,
    record_of,
    start,
    submitted,
    succeed,
)

if TYPE_CHECKING:
    from raincheck.core.operation import Operation


class StartingConformance:
    """What may start at once is leased with its acceptance; nobody who waits is overtaken."""

    pytestmark = pytest.mark.anyio

    async def test_a_submit_with_a_claim_is_version_two_in_one_commit(self, store: Store) -> None:
        """The caller sees version 1 as it was accepted, the worker its run 1, the listeners one change."""
        watcher = Watcher(store)
        operation = an_operation(input='{"v":1}')
        accepted = await store.submit(operation, claim=a_claim(limit=1))
        begun = transitions.accept_and_claim(operation, worker=WORKER, lease_until=LEASE_END, now=NOW).operation
        assert accepted == Accepted(operation, begun)
        assert (begun.status, begun.version, begun.run, begun.worker) == (Status.RUNNING, 2, 1, WORKER)
        assert await record_of(store, operation.id) == begun
        [change] = await watcher.heard(1)
        assert (change.follows, change.operation) == (0, begun)
        assert await store.claim(a_claim()) == []

    async def test_its_log_is_that_of_one_claimed_later(self, store: Store) -> None:
        """A reader cannot tell how soon the work was taken."""
        at_once = an_operation()
        await store.submit(at_once, claim=a_claim(limit=1))
        later = await submitted(store)
        await start(store, later.id)
        logs = [
            [(event.version, event.run, event.type, event.time, event.data) for event in events]
            for _, events in (await store.events_after({at_once.id: 0, later.id: 0})).values()
        ]
        assert logs[0] == logs[1]
        assert [entry[:3] for entry in logs[0]] == [(1, 0, EventType.STATUS), (2, 1, EventType.STATUS)]

    async def test_its_lease_is_a_lease_like_any_other(self, store: Store) -> None:
        """It is renewed, found by the reaper when it runs out, and fences the outcome."""
        operation = an_operation()
        await store.submit(operation, claim=a_claim(limit=1))
        lease = Lease(operation.id, 1)
        assert (await store.renew([lease], lease_until=LEASE_END + SECOND)).lost == frozenset()
        assert (await store.overdue(LEASE_END)).expired_leases == ()
        overdue = await store.overdue(LEASE_END + SECOND)
        assert overdue.expired_leases == (lease,)
        assert overdue.holders == {WORKER: (lease,)}
        finished = await succeed(store, operation.id)
        assert (finished.status, finished.version) == (Status.SUCCEEDED, 3)

    @pytest.mark.parametrize(
        ("older", "claim", "starts"),
        [
            ({}, {}, False),
            ({"priority": -5}, {}, False),
            ({"kind": "image"}, {}, True),
            ({"kind": "image"}, {"kinds": ("report", "image")}, False),
            ({"queue": "slow"}, {}, False),
            ({"queue": "slow"}, {"queues": ("default",)}, True),
            ({"run_at": NOW + SECOND}, {}, True),
        ],
    )
    async def test_it_waits_behind_whatever_the_claim_would_find(
        self, store: Store, older: dict[str, Any], claim: dict[str, Any], *, starts: bool
    ) -> None:
        """Priorities and the order of arrival hold also for what comes while there is a free slot."""
        waiting = await submitted(store, **older)
        accepted = await store.submit(an_operation(), claim=a_claim(limit=1, **claim))
        assert isinstance(accepted, Accepted)
        assert (accepted.begun is not None) is starts
        assert (await record_of(store, accepted.operation.id)).status is (Status.RUNNING if starts else Status.QUEUED)
        assert (await record_of(store, waiting.id)).status is Status.QUEUED

    async def test_it_waits_behind_what_comes_in_the_same_commit(self, store: Store) -> None:
        """Of two that arrive together, the first found no slot and the second did: the first goes first."""
        first, second, third = an_operation(), an_operation(kind="image"), an_operation()
        found = await asyncio.gather(
            store.submit(first),
            store.submit(second, claim=a_claim(limit=1, kinds=("image",))),
            store.submit(third, claim=a_claim(limit=1)),
        )
        assert [_begun(each) for each in found] == [False, True, False]

    async def test_what_is_due_later_waits(self, store: Store) -> None:
        """A claim takes only what is due."""
        accepted = await store.submit(an_operation(run_at=NOW + SECOND), claim=a_claim(limit=1))
        assert isinstance(accepted, Accepted)
        assert accepted.begun is None

    async def test_a_key_that_is_taken_leases_nothing(self, store: Store) -> None:
        """Also when both submits come in one commit."""
        key: dict[str, Any] = {"idempotency_key": "key-1", "fingerprint": "print-1"}
        first, same, other = an_operation(**key), an_operation(**key), an_operation(**{**key, "fingerprint": "x"})
        found = await asyncio.gather(*(store.submit(each, claim=a_claim(limit=1)) for each in (first, same, other)))
        assert [type(each) for each in found] == [Accepted, Replayed, KeyConflict]
        assert await store.known([first.id, same.id, other.id]) == {first.id}
        earlier = await record_of(store, first.id)
        assert await store.submit(same, claim=a_claim(limit=1)) == Replayed(earlier)


def _begun(found: object) -> Operation | bool | None:
    return isinstance(found, Accepted) and found.begun is not None
