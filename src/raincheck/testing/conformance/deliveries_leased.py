"""Three promises of DeliveryStore: leased once, settled with the attempt, kept with the health of the endpoint."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

import pytest

from raincheck.core import delivery_rules
from raincheck.core.deliveries import Attempt, DeliveryStatus, Health
from raincheck.core.endpoints import Callback, Endpoint, Source
from raincheck.core.errors import LeaseLost
from raincheck.core.operation import Status
from raincheck.ports import Lease
from raincheck.ports_deliveries import DeliveryQuery
from raincheck.testing.conformance.delivery_specimens import (
    LEASED_UNTIL,
    OTHER,
    URL,
    DeliveringStore,
    a_delivery,
    a_delivery_claim,
    disabled,
    settled,
)
from raincheck.testing.conformance.specimens import (
    DAY,
    NOW,
    SECOND,
    WORKER,
    brought_to,
    started,
    succeed,
)


class LeasedDeliveryConformance:
    """Deliveries are leased once, and settled with the health of their endpoint."""

    pytestmark = pytest.mark.anyio

    # --- promise 3: leasing -------------------------------------------------------------------------------------

    async def test_a_due_delivery_is_leased_once(self, store: DeliveringStore) -> None:
        """Of couriers that look at the same time, one gets it."""
        delivery = await a_delivery(store)
        claims = [store.lease_deliveries(a_delivery_claim(worker=f"worker-{number}")) for number in range(10)]
        [leased] = [each for found in await asyncio.gather(*claims) for each in found]
        assert (leased.id, leased.run, leased.status) == (delivery.id, 1, DeliveryStatus.SENDING)
        assert await store.get_delivery(delivery.id) == leased

    @pytest.mark.parametrize("due_in", [-SECOND, timedelta(0), SECOND])
    @pytest.mark.parametrize("status", list(DeliveryStatus))
    async def test_the_store_leases_exactly_what_the_rules_allow(
        self, store: DeliveringStore, status: DeliveryStatus, due_in: timedelta
    ) -> None:
        """The predicate in the store's query and the one in ``delivery_rules`` are the same."""
        before = await a_delivery(store, status=status)
        now = before.due_at - due_in
        expected = delivery_rules.lease(before, worker=WORKER, lease_until=LEASED_UNTIL, now=now)
        leased = await store.lease_deliveries(a_delivery_claim(now=now))
        assert leased == ([] if expected is None else [expected])

    async def test_one_receiver_gives_no_more_than_it_has_room_for(self, store: DeliveringStore) -> None:
        """However much waits there, the others are not kept waiting."""
        for number in range(20):
            await a_delivery(store, url=f"{URL}/{number}", created=NOW - 100 * SECOND + number * SECOND)
        late = await a_delivery(store, url=OTHER)
        leased = await store.lease_deliveries(a_delivery_claim(room=3))
        assert [each.url for each in leased] == [f"{URL}/0", f"{URL}/1", f"{URL}/2", OTHER]
        assert leased[-1].id == late.id

    async def test_receivers_can_be_named_with_their_room(self, store: DeliveringStore) -> None:
        """One that is busy gives nothing, one that is quick gives more than others."""
        for number in range(5):
            await a_delivery(store, url=f"{URL}/{number}")
            await a_delivery(store, url=f"{OTHER}/{number}")
        rooms = {"https://hooks.example.com:443": 0, "https://other.example.org:443": 4}
        leased = await store.lease_deliveries(a_delivery_claim(room=2, rooms=rooms))
        assert [each.receiver for each in leased] == ["https://other.example.org:443"] * 4

    async def test_the_longest_due_goes_first_and_the_limit_holds(self, store: DeliveringStore) -> None:
        """Over all receivers."""
        urls = [f"https://r{number}.example.com/" for number in range(5)]
        for number, url in enumerate(urls):
            await a_delivery(store, url=url, created=NOW - number * SECOND)
        leased = await store.lease_deliveries(a_delivery_claim(limit=3))
        assert [each.url for each in leased] == [urls[4], urls[3], urls[2]]

    async def test_a_courier_leases_only_what_it_has_secrets_for(self, store: DeliveringStore) -> None:
        """During a deployment the old process leaves the new endpoint's deliveries to the new one."""
        await store.set_endpoints([Endpoint(URL), Endpoint(OTHER)])
        await brought_to(store, Status.SUCCEEDED, callback=Callback("https://caller.example.net/"))
        assert await store.lease_deliveries(a_delivery_claim(webhooks=(), callbacks=False)) == []
        one = await store.lease_deliveries(a_delivery_claim(webhooks=(OTHER,), callbacks=False))
        assert [each.url for each in one] == [OTHER]
        two = await store.lease_deliveries(a_delivery_claim(webhooks=(), callbacks=True))
        assert [each.source for each in two] == [Source.CALLBACK]

    # --- promise 4: changing ------------------------------------------------------------------------------------

    async def test_an_outcome_is_written_with_the_attempt(self, store: DeliveringStore) -> None:
        """Status, latency, what the receiver asked for and the beginning of its answer."""
        await a_delivery(store)
        [leased] = await store.lease_deliveries(a_delivery_claim())
        attempt = Attempt(latency=0.25 * SECOND, status=503, detail="é", retry_after=7 * SECOND, excerpt="busy \ud800")
        verdict = await settled(store, leased, attempt=attempt)
        assert verdict.delivery.log[0].attempt == attempt
        assert await store.get_delivery(leased.id) == verdict.delivery
        assert (verdict.delivery.status, verdict.delivery.tries) == (DeliveryStatus.PENDING, 1)
        assert await store.unhealthy_endpoints() == [Health(url=URL, failing_since=NOW, last_failed_at=NOW)]

    async def test_a_courier_that_lost_its_lease_writes_nothing(self, store: DeliveringStore) -> None:
        """The run number fences, as for operations."""
        await a_delivery(store)
        [leased] = await store.lease_deliveries(a_delivery_claim())
        await store.change_delivery(leased.id, partial(delivery_rules.release, run=1))
        [again] = await store.lease_deliveries(a_delivery_claim(worker="worker-2"))
        assert again.run == 2
        with pytest.raises(LeaseLost):
            await settled(store, leased, status=500)
        assert await store.get_delivery(leased.id) == again
        assert await store.unhealthy_endpoints() == []

    async def test_no_verdict_writes_nothing_and_an_unknown_id_raises(self, store: DeliveringStore) -> None:
        """As for operations."""
        delivery = await a_delivery(store)
        assert (await store.change_delivery(delivery.id, lambda _, __: None)).delivery == delivery
        with pytest.raises(KeyError):
            await store.change_delivery("msg_unknown", lambda _, __: None)

    async def test_overdue_names_what_ran_out_and_who_holds_what(self, store: DeliveringStore) -> None:
        """What a dead or silent courier held is found."""
        await a_delivery(store)
        await a_delivery(store, url=OTHER)
        first, second = await store.lease_deliveries(a_delivery_claim())
        overdue = await store.overdue_deliveries(LEASED_UNTIL - SECOND)
        held = {Lease(first.id, 1), Lease(second.id, 1)}
        assert (overdue.expired_leases, {each: set(held) for each in overdue.holders}) == ((), {WORKER: held})
        await settled(store, first, status=200)
        overdue = await store.overdue_deliveries(LEASED_UNTIL)
        assert overdue.expired_leases == (Lease(second.id, 1),)
        assert overdue.holders == {WORKER: (Lease(second.id, 1),)}

    # --- promise 5: the health of endpoints ---------------------------------------------------------------------

    async def test_a_success_forgets_the_failures(self, store: DeliveringStore) -> None:
        """The five days begin anew."""
        delivery = await a_delivery(store)
        await store.change_endpoint(URL, partial(delivery_rules.after_failure, now=NOW))
        [leased] = await store.lease_deliveries(a_delivery_claim())
        await settled(store, leased, status=204)
        assert await store.unhealthy_endpoints() == []
        found = await store.get_delivery(delivery.id)
        assert found is not None
        assert found.status is DeliveryStatus.DELIVERED

    async def test_a_disabled_endpoint_pauses_what_waits_and_what_comes(self, store: DeliveringStore) -> None:
        """Nothing is lost and nothing is sent; enabled again, all of it is due."""
        before = await a_delivery(store)
        elsewhere = await a_delivery(store, url=OTHER)
        await store.change_endpoint(URL, disabled)
        after = await a_delivery(store, created=NOW + SECOND)
        leased = await store.lease_deliveries(a_delivery_claim(now=NOW + DAY))
        assert [each.id for each in leased] == [elsewhere.id]
        paused = await store.list_deliveries(DeliveryQuery(statuses=(DeliveryStatus.PAUSED,)))
        assert [each.id for each in paused] == [after.id, before.id]
        await store.change_endpoint(URL, lambda health: Health(url=health.url))
        leased = await store.lease_deliveries(a_delivery_claim(now=NOW + DAY))
        assert [each.id for each in leased] == [before.id, after.id]

    async def test_failures_of_long_ago_are_forgotten_where_nothing_waits(self, store: DeliveringStore) -> None:
        """Callers may name ever new URLs; a disabled one that something waits for is kept."""
        await a_delivery(store, url=OTHER)
        await store.change_endpoint(URL, disabled)
        await store.change_endpoint(OTHER, disabled)
        await store.prune(NOW + 29 * DAY)
        assert [each.url for each in await store.unhealthy_endpoints()] == [URL, OTHER]
        running = await started(store, callback=Callback(OTHER))
        await succeed(store, running.id, now=NOW + 30 * DAY)
        await store.prune(NOW + 31 * DAY)
        assert [each.url for each in await store.unhealthy_endpoints()] == [OTHER]
