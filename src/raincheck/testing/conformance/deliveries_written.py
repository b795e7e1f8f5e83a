"""The first two promises of DeliveryStore, and the sixth: deliveries come and go with what they tell of."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from raincheck.core import transitions
from raincheck.core.deliveries import DeliveryStatus
from raincheck.core.endpoints import Callback, Endpoint, Source, WebhookType
from raincheck.core.errors import LeaseLost
from raincheck.core.operation import Status
from raincheck.ports import Accepted
from raincheck.ports_deliveries import DeliveryQuery
from raincheck.testing.conformance.delivery_specimens import (
    ALL_EVENTS,
    OTHER,
    URL,
    DeliveringStore,
    a_delivery,
    a_delivery_claim,
    found_of,
    of_event,
    progressed,
    settled,
)
from raincheck.testing.conformance.specimens import (
    DAY,
    NOW,
    SECOND,
    Watcher,
    a_claim,
    an_operation,
    brought_to,
    started,
    submitted,
    succeed,
)


class WrittenDeliveryConformance:
    """Deliveries are written with their event, and go with their operation."""

    pytestmark = pytest.mark.anyio

    # --- promise 1: with the event, or not at all ---------------------------------------------------------------

    @pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
    async def test_an_end_is_written_with_its_delivery(self, store: DeliveringStore, status: Status) -> None:
        """Whoever wrote the end: the row is there when the end is."""
        operation = await brought_to(store, status, callback=Callback(URL))
        [delivery] = await store.deliveries_of(operation.id)
        assert (delivery.event, delivery.url, delivery.source) == (f"operation.{status}", URL, Source.CALLBACK)
        assert (delivery.version, delivery.status) == (operation.version, DeliveryStatus.PENDING)
        assert delivery.due_at == operation.finished_at
        assert await store.get_delivery(delivery.id) == delivery

    async def test_a_start_makes_deliveries_where_it_was_asked_for(self, store: DeliveringStore) -> None:
        """Once: the claim of a second run is not the start of the operation."""
        running = await started(store, callback=Callback(URL, (WebhookType.STARTED,)))
        await store.change(running.id, partial(transitions.release, run=1, now=NOW))
        await store.claim(a_claim())
        assert [each.event for each in await store.deliveries_of(running.id)] == [WebhookType.STARTED]

    async def test_a_start_in_the_transaction_of_the_submit_makes_deliveries_too(self, store: DeliveringStore) -> None:
        """What is accepted while a slot is free has no change of its own for its start."""
        operation = an_operation(callback=Callback(URL, (WebhookType.STARTED,)))
        submitted = await store.submit(operation, claim=a_claim())
        assert isinstance(submitted, Accepted)
        assert submitted.begun is not None
        [delivery] = await store.deliveries_of(operation.id)
        assert (delivery.event, delivery.version) == (WebhookType.STARTED, 2)

    async def test_a_claim_of_many_makes_the_deliveries_of_each(self, store: DeliveringStore) -> None:
        """Claims write in batches."""
        await store.set_endpoints([Endpoint(URL, (WebhookType.STARTED,))])
        operations = [await submitted(store) for _ in range(3)]
        await store.claim(a_claim())
        assert [len(await store.deliveries_of(each.id)) for each in operations] == [1, 1, 1]

    async def test_configured_endpoints_hear_of_every_operation(self, store: DeliveringStore) -> None:
        """Each of what it asked for; the caller's own URL beside them."""
        await store.set_endpoints([Endpoint(URL), Endpoint(OTHER, (WebhookType.FAILED,))])
        operation = await brought_to(store, Status.SUCCEEDED, callback=Callback(URL))
        found = await store.deliveries_of(operation.id)
        assert sorted((each.source, each.url) for each in found) == [(Source.CALLBACK, URL), (Source.WEBHOOK, URL)]
        assert len({each.id for each in found}) == 2

    async def test_operations_without_an_endpoint_have_no_deliveries(self, store: DeliveringStore) -> None:
        """Nothing is written for nobody."""
        operation = await brought_to(store, Status.SUCCEEDED)
        assert await store.deliveries_of(operation.id) == []
        assert await store.list_deliveries(DeliveryQuery()) == []

    async def test_a_refused_change_writes_no_delivery(self, store: DeliveringStore) -> None:
        """A worker that lost its lease tells nobody anything."""
        running = await started(store, callback=Callback(URL))
        await store.change(running.id, partial(transitions.lose, run=1, now=NOW))
        with pytest.raises(LeaseLost):
            await succeed(store, running.id, run=1)
        assert await store.deliveries_of(running.id) == []

    async def test_listeners_get_deliveries_with_the_change(self, store: DeliveringStore) -> None:
        """So that the courier of this process sends at once."""
        watcher = Watcher(store)
        operation = await brought_to(store, Status.SUCCEEDED, callback=Callback(URL))
        changes = await watcher.heard(3)
        assert [len(change.deliveries) for change in changes] == [0, 0, 1]
        assert [changes[-1].deliveries[0].id] == [each.id for each in await store.deliveries_of(operation.id)]

    async def test_the_callback_stays_with_the_operation(self, store: DeliveringStore) -> None:
        """Read back as it was accepted."""
        operation = await submitted(store, callback=Callback(URL, (WebhookType.FAILED,)))
        assert (await found_of(store, operation.id)).callback == Callback(URL, (WebhookType.FAILED,))

    # --- promise 2: progress is lossy ---------------------------------------------------------------------------

    async def test_progress_waits_a_second_and_newer_takes_its_place(self, store: DeliveringStore) -> None:
        """The first one's due time stays, so that progress every 0.1 s does not put its own webhook off for ever."""
        running = await started(store, callback=Callback(URL, ALL_EVENTS))
        for step in range(3):
            await progressed(store, running.id, step, now=NOW + 0.3 * step * SECOND)
        progress = await of_event(store, running.id, WebhookType.PROGRESS)
        assert [(each.version, each.due_at) for each in progress] == [(5, NOW + SECOND)]

    async def test_progress_that_is_being_sent_stays_beside_newer(self, store: DeliveringStore) -> None:
        """Its courier still has to settle it; what was settled goes."""
        running = await started(store, callback=Callback(URL, (WebhookType.PROGRESS,)))
        await progressed(store, running.id, 1)
        [first] = await store.lease_deliveries(a_delivery_claim(now=NOW + SECOND))
        await progressed(store, running.id, 2, now=NOW + 2 * SECOND)
        second, third = await store.deliveries_of(running.id)
        assert (second.id, third.due_at) == (first.id, NOW + 3 * SECOND)
        await settled(store, first, status=200)
        await progressed(store, running.id, 3, now=NOW + 3 * SECOND)
        assert [each.version for each in await store.deliveries_of(running.id)] == [5]

    async def test_an_end_takes_the_place_of_waiting_progress(self, store: DeliveringStore) -> None:
        """Nobody wants to hear of progress after the end."""
        running = await started(store, callback=Callback(URL, ALL_EVENTS))
        await progressed(store, running.id, 1)
        await succeed(store, running.id)
        events = [each.event for each in await store.deliveries_of(running.id)]
        assert sorted(events) == [WebhookType.STARTED, WebhookType.SUCCEEDED]

    async def test_progress_and_the_end_at_the_same_time_leave_the_end(self, store: DeliveringStore) -> None:
        """Also where a store writes them as one batch."""
        running = await started(store, callback=Callback(URL, ALL_EVENTS))
        await asyncio.gather(
            progressed(store, running.id, 1), progressed(store, running.id, 2), succeed(store, running.id)
        )
        events = [each.event for each in await store.deliveries_of(running.id)]
        assert sorted(events) == [WebhookType.STARTED, WebhookType.SUCCEEDED]

    # --- promise 6: going with the operation --------------------------------------------------------------------

    @pytest.mark.parametrize("how", ["delete", "prune"])
    async def test_deliveries_go_with_their_operation(self, store: DeliveringStore, how: str) -> None:
        """Also one under way: its courier is told that there is nothing to settle."""
        kept = await a_delivery(store, url=OTHER)
        gone = await a_delivery(store)
        await a_delivery(store, url="https://third.example.com/")
        leased = await store.lease_deliveries(a_delivery_claim())
        await store.delete(gone.operation, check=transitions.refuse_delete, now=NOW)
        assert await store.get_delivery(gone.id) is None
        [mine] = [each for each in leased if each.id == gone.id]
        with pytest.raises(KeyError):
            await settled(store, mine, status=200)
        if how == "prune":
            await store.prune(NOW + 8 * DAY)
        found = await store.get_delivery(kept.id)
        assert (found is None) == (how == "prune")

    async def test_the_log_is_paged_newest_first(self, store: DeliveringStore) -> None:
        """With filters for status and URL."""
        made = [await a_delivery(store, created=NOW + number * SECOND) for number in range(4)]
        await a_delivery(store, url=OTHER, status=DeliveryStatus.DELIVERED)
        page = await store.list_deliveries(DeliveryQuery(url=URL, limit=2))
        assert page == [made[3], made[2]]
        assert await store.list_deliveries(DeliveryQuery(url=URL, limit=9, before_id=page[-1].id)) == [made[1], made[0]]
        done = await store.list_deliveries(DeliveryQuery(statuses=(DeliveryStatus.DELIVERED,)))
        assert [each.url for each in done] == [OTHER]
