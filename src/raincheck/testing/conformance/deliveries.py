"""The promises of DeliveryStore: written with the event, leased once, settled with the health of the endpoint."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from raincheck.core import delivery_rules, transitions
from raincheck.core.deliveries import Attempt, Delivery, DeliveryStatus, Health
from raincheck.core.delivery_rules import Verdict
from raincheck.core.endpoints import Callback, Endpoint, Source, WebhookType
from raincheck.core.errors import LeaseLost
from raincheck.core.operation import Progress, Status
from raincheck.ports import Accepted, Lease
from raincheck.ports_deliveries import DeliveryClaim, DeliveryQuery, DeliveryStore
from raincheck.testing.conformance.specimens import (
    DAY,
    NOW,
    SECOND,
    WORKER,
    Store,
    Watcher,
    a_claim,
    an_operation,
    brought_to,
    started,
    submitted,
    succeed,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from raincheck.core.operation import Operation

URL = "https://hooks.example.com/one"
OTHER = "https://other.example.org/two"
ALL_EVENTS = tuple(WebhookType)
LEASED_UNTIL = NOW + 60 * SECOND


class DeliveringStore(Store, DeliveryStore, Protocol):
    """What the suite runs against: the store ports on one object, already opened."""


class DeliveryConformance:
    """Everything that any delivery store promises. Provide ``store``: a fixture with an open, empty store."""

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


class DurableDeliveryConformance:
    """For stores that outlive the process; ``reopen`` as for ``DurableStoreConformance``."""

    pytestmark = pytest.mark.anyio

    @pytest.mark.parametrize("status", list(DeliveryStatus))
    async def test_a_delivery_survives_a_restart(
        self, reopen: Callable[[], Awaitable[DeliveringStore]], status: DeliveryStatus
    ) -> None:
        """In every status, with its log and the health of its endpoint."""
        store = await reopen()
        before = await a_delivery(store, status=status)
        health = await store.unhealthy_endpoints()
        store = await reopen()
        assert await store.get_delivery(before.id) == before
        assert await store.unhealthy_endpoints() == health

    async def test_a_command_without_configuration_adopts_the_endpoints(
        self, reopen: Callable[[], Awaitable[DeliveringStore]]
    ) -> None:
        """Those of the application that was started last, and none where it has none any more."""
        store = await reopen()
        await store.set_endpoints([Endpoint(URL), Endpoint(OTHER, (WebhookType.CANCELLED,))])
        waiting, other = await submitted(store), await submitted(store)
        store = await reopen()
        await store.change(other.id, partial(transitions.request_cancel, now=NOW))
        assert await store.deliveries_of(other.id) == []
        await store.adopt_endpoints()
        await store.change(waiting.id, partial(transitions.request_cancel, now=NOW))
        assert {each.url for each in await store.deliveries_of(waiting.id)} == {URL, OTHER}
        await store.set_endpoints([])
        store = await reopen()
        await store.adopt_endpoints()
        running = await started(store)
        await succeed(store, running.id)
        assert await store.deliveries_of(running.id) == []


class SharedDeliveryConformance:
    """For stores that several processes may open at once; ``stores`` as for ``SharedStoreConformance``."""

    pytestmark = pytest.mark.anyio

    async def test_couriers_of_two_processes_get_disjoint_deliveries(
        self, stores: tuple[DeliveringStore, DeliveringStore]
    ) -> None:
        """Every delivery is sent, none twice."""
        wanted = {(await a_delivery(stores[0], url=f"https://r{number}.example.com/")).id for number in range(40)}
        claims = [
            stores[number % 2].lease_deliveries(a_delivery_claim(worker=f"worker-{number}", limit=4))
            for number in range(20)
        ]
        taken = [each.id for found in await asyncio.gather(*claims) for each in found]
        assert len(taken) == len(set(taken))
        while rest := await stores[1].lease_deliveries(a_delivery_claim()):
            taken += [each.id for each in rest]
        assert len(taken) == 40
        assert set(taken) == wanted


# --- specimens -----------------------------------------------------------------------------------------------------


def a_delivery_claim(**fields: Any) -> DeliveryClaim:
    """Return a courier's claim of up to a hundred deliveries to any endpoint."""
    made: dict[str, Any] = {
        "worker": WORKER,
        "webhooks": (URL, OTHER),
        "callbacks": True,
        "limit": 100,
        "lease_until": LEASED_UNTIL,
        "now": NOW,
    }
    return DeliveryClaim(**(made | fields))


async def a_delivery(
    store: DeliveringStore,
    *,
    url: str = URL,
    status: DeliveryStatus = DeliveryStatus.PENDING,
    created: datetime = NOW,
) -> Delivery:
    """Return the delivery of an operation that ended at a moment, brought to a status by the rules."""
    running = await started(store, callback=Callback(url))
    await succeed(store, running.id, now=created)
    [delivery] = await store.deliveries_of(running.id)
    if status is DeliveryStatus.PAUSED:
        await store.change_endpoint(url, disabled)
    elif status is not DeliveryStatus.PENDING:
        now = delivery.due_at
        await store.change_delivery(
            delivery.id,
            lambda found, health: Verdict(
                delivery_rules.lease(found, worker=WORKER, lease_until=LEASED_UNTIL, now=now) or found, health
            ),
        )
    found = await store.get_delivery(delivery.id)
    assert found is not None
    if status is DeliveryStatus.DELIVERED:
        return (await settled(store, found, status=200)).delivery
    if status is DeliveryStatus.FAILED:
        return (await settled(store, found, status=410)).delivery
    return found


async def settled(
    store: DeliveringStore, delivery: Delivery, *, status: int = 200, attempt: Attempt | None = None
) -> Verdict:
    """Write what an attempt found."""
    found = attempt or Attempt(latency=SECOND, status=status)
    return await store.change_delivery(
        delivery.id,
        lambda record, health: delivery_rules.settle(
            record, health, run=delivery.run, attempt=found, began=NOW, now=NOW, chance=0.5
        ),
    )


async def progressed(store: DeliveringStore, operation_id: str, step: int, *, now: datetime = NOW) -> None:
    """Record progress in the first run."""
    progress = Progress(current=step)
    await store.change(operation_id, lambda found: transitions.record(found, run=1, progress=progress, now=now))


async def of_event(store: DeliveringStore, operation_id: str, event: WebhookType) -> list[Delivery]:
    """Return the operation's deliveries of an event."""
    return [each for each in await store.deliveries_of(operation_id) if each.event == event]


async def found_of(store: DeliveringStore, operation_id: str) -> Operation:
    """Return the record as the log shows it."""
    return (await store.events_after({operation_id: 0}))[operation_id][0]


def disabled(health: Health) -> Health:
    """Return the health of an endpoint that is disabled."""
    return Health(url=health.url, failing_since=NOW, last_failed_at=NOW, disabled_at=NOW, reason="a test")
