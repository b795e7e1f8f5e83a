"""The courier sends what is due, once, whatever its receivers, its store and its own process do."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from raincheck.core import delivery_rules, transitions
from raincheck.core.deliveries import Attempt, DeliveryStatus, Health
from raincheck.core.delivery_rules import Verdict
from raincheck.core.endpoints import Callbacks, Endpoint, Webhook, WebhookPolicy
from raincheck.core.errors import StoreUnavailable
from raincheck.core.wire import Links
from raincheck.ports_deliveries import DeliveryQuery
from raincheck.roles import courier as courier_module
from raincheck.roles.courier import Courier
from raincheck.testing.conformance.specimens import NOW, SECOND
from tests.roles.deliverers import URL, Alive, RecordingDeliverer, ended, held_by, until

pytestmark = pytest.mark.anyio
SECRET = "whsec_" + "c2VjcmV0" * 4
OTHER = "https://other.example.org/two"


@pytest.fixture
def deliverer():
    return RecordingDeliverer()


@pytest.fixture
def liveness():
    return Alive()


@pytest.fixture
async def make(store, deliverer, liveness, time, monkeypatch):
    """Make couriers that do not poll by themselves within a test."""
    monkeypatch.setattr(courier_module, "_POLL", 3600)
    made = []

    def courier(worker="me", policy=None, **options):
        policy = policy or WebhookPolicy(
            webhooks=(Webhook(url=URL, secret=SECRET), Webhook(url=OTHER, secret=SECRET)),
            callbacks=Callbacks(secret=SECRET, allow=("https://*.example.net",)),
        )
        made.append(
            Courier(
                store=store,
                deliverer=deliverer,
                policy=policy,
                links=Links("https://api.example.com/operations", delivered=True),
                worker=worker,
                liveness=liveness,
                clock=time.now,
                chance=lambda: 0.5,
                monotonic=time.monotonic,
                **options,
            )
        )
        store.subscribe(made[-1].committed)
        return made[-1]

    yield courier
    for each in made:
        await each.stop()


async def test_what_is_due_is_sent_signed_with_its_own_rules(store, make, deliverer):
    """The same id as the delivery's, the operation as it is, and what the policy says of callbacks."""
    delivery = await ended(store, "https://hooks.example.net/cb")
    courier = make()
    await courier.start()
    [message] = await deliverer.until_sent(1)
    assert (message.id, message.url, message.secrets) == (delivery.id, delivery.url, (SECRET,))
    assert message.allow == ("https://*.example.net",)
    body = json.loads(message.body)
    assert (body["type"], body["data"]["version"]) == ("operation.succeeded", 3)
    assert body["data"]["links"]["self"] == f"https://api.example.com/operations/{delivery.operation}"
    found = await until(store, delivery, DeliveryStatus.DELIVERED)
    assert [tried.attempt.status for tried in found.log] == [200]


async def test_only_callers_urls_are_asked_for_their_consent(store, make, deliverer):
    """The application's own endpoints have agreed by being configured."""
    await store.set_endpoints([Endpoint(URL)])
    await ended(store, "https://hooks.example.net/cb")
    callbacks = Callbacks(secret=SECRET, handshake=True)
    policy = WebhookPolicy(webhooks=(Webhook(url=URL, secret=SECRET),), callbacks=callbacks, host="api.example.com")
    await make(policy=policy).start()
    sent = await deliverer.until_sent(2)
    assert {message.url: message.origin for message in sent} == {
        "https://hooks.example.net/cb": "api.example.com",
        URL: "",
    }


async def test_a_configured_webhook_may_go_to_its_own_receiver_only(store, make, deliverer):
    """Whatever port it has."""
    await store.set_endpoints([Endpoint(URL), Endpoint(OTHER)])
    await ended(store, "https://x.example.net/")
    await make().start()
    sent = await deliverer.until_sent(3)
    assert {message.allow for message in sent if message.url == URL} == {("https://hooks.example.com:443",)}


async def test_a_commit_of_this_process_is_sent_without_a_poll(store, make, deliverer):
    """The listener wakes it."""
    await make().start()
    await asyncio.sleep(0)
    delivery = await ended(store)
    await deliverer.until_sent(1)
    await until(store, delivery, DeliveryStatus.DELIVERED)


async def test_a_failure_is_tried_again_in_time_with_the_same_id(store, make, deliverer, time):
    """After the schedule's five seconds, not before."""
    deliverer.answers[URL] = Attempt(latency=SECOND, status=500)
    courier = make()
    await courier.start()
    delivery = await ended(store)
    await deliverer.until_sent(1)
    waiting = await until(store, delivery, DeliveryStatus.PENDING)
    assert waiting.due_at == NOW + 5 * SECOND
    time.pass_(4.9)
    await courier.run_once()
    assert len(deliverer.sent) == 1
    time.pass_(0.1)
    await courier.run_once()
    first, second = await deliverer.until_sent(2)
    assert first.id == second.id
    assert second.sent_at == NOW + 5 * SECOND


async def test_a_dead_receiver_delays_no_other(store, make, deliverer):
    """It holds four attempts however much waits for it, and the others go on meanwhile."""
    deliverer.hold(URL)
    for _ in range(30):
        await ended(store, URL)
    alive = [await ended(store, f"https://r{number}.example.net/") for number in range(30)]
    await make(slots=20).start()
    for delivery in alive:
        await until(store, delivery, DeliveryStatus.DELIVERED)
    assert len([message for message in deliverer.sent if message.url == URL]) == 4
    deliverer.let_go(URL)


async def test_a_receiver_that_never_answers_is_tried_less_and_less(store, make, deliverer, time):
    """Three silences shut it; after a pause one attempt tries, and an answer opens it again."""
    deliverer.answers[URL] = Attempt(latency=SECOND, failure="timeout")
    made = [await ended(store) for _ in range(12)]
    courier = make()
    await courier.start()
    await deliverer.until_sent(4)
    async with asyncio.timeout(5):
        while not all([(await store.get_delivery(message.id)).log for message in deliverer.sent]):
            await asyncio.sleep(0)
    await courier.run_once()
    assert len(deliverer.sent) == 4
    deliverer.answers[URL] = Attempt(latency=SECOND, status=200)
    time.pass_(10)
    courier.notice()
    await deliverer.until_sent(16)
    for delivery in made:
        await until(store, delivery, DeliveryStatus.DELIVERED)


async def test_no_more_attempts_are_under_way_than_there_are_slots(store, make, deliverer):
    """The rest is sent when slots come free, without a poll."""
    urls = [f"https://r{number}.example.net/" for number in range(9)]
    for url in urls:
        deliverer.hold(url)
        await ended(store, url)
    await make(slots=3).start()
    await deliverer.until_sent(3)
    for url in urls:
        deliverer.let_go(url)
    await deliverer.until_sent(9)
    assert deliverer.most_under_way == 3


async def test_two_couriers_send_each_delivery_once(store, make, deliverer):
    """Leases decide."""
    made = [await ended(store, f"https://r{number}.example.net/") for number in range(40)]
    for name in ("one", "two"):
        await make(name).start()
    for delivery in made:
        await until(store, delivery, DeliveryStatus.DELIVERED)
    assert len({message.id for message in deliverer.sent}) == len(deliverer.sent) == 40


async def test_what_a_dead_process_held_is_sent_again_with_the_same_id(store, make, deliverer, liveness):
    """At once, when the next process starts: its lock tells."""
    delivery = await ended(store)
    await held_by(store, delivery, "dead")
    await held_by(store, await ended(store, OTHER), "alive")
    liveness.dead.add("dead")
    await make().start()
    [message] = await deliverer.until_sent(1)
    assert message.id == delivery.id
    await until(store, delivery, DeliveryStatus.DELIVERED)


async def test_what_a_silent_process_held_is_sent_when_its_lease_has_run_out(store, make, deliverer, time):
    """It may be on another machine, where nobody sees whether it lives."""
    delivery = await ended(store)
    await held_by(store, delivery, "elsewhere")
    courier = make()
    await courier.start()
    time.pass_(59)
    await courier._take_over()
    await courier.run_once()
    assert deliverer.sent == []
    time.pass_(1)
    await courier._take_over()
    await courier.run_once()
    assert [message.id for message in await deliverer.until_sent(1)] == [delivery.id]


async def test_an_attempt_under_way_is_not_taken_for_lost_by_its_own_courier(store, make, deliverer, time):
    """A jump of the clock ends the lease on paper; the attempt goes on, and nobody sends beside it."""
    deliverer.hold(URL)
    delivery = await ended(store)
    courier = make()
    await courier.start()
    await deliverer.until_sent(1)
    time.jump(timedelta(days=3))
    await courier._take_over()
    await courier.run_once()
    assert (await store.get_delivery(delivery.id)).status is DeliveryStatus.SENDING
    deliverer.let_go(URL)
    await until(store, delivery, DeliveryStatus.DELIVERED)
    assert len(deliverer.sent) == 1


async def test_a_drain_lets_attempts_end_and_hands_the_rest_back(store, make, deliverer):
    """What was handed back is sent by the next process at once, with the same id."""
    quick, slow = await ended(store, URL), await ended(store, OTHER)
    deliverer.hold(URL)
    deliverer.hold(OTHER)
    courier = make()
    await courier.start()
    await deliverer.until_sent(2)
    draining = asyncio.ensure_future(courier.drain(0.2))
    await asyncio.sleep(0)
    deliverer.let_go(URL)
    await draining
    assert (await store.get_delivery(quick.id)).status is DeliveryStatus.DELIVERED
    back = await store.get_delivery(slow.id)
    assert (back.status, back.worker, back.tries, back.log) == (DeliveryStatus.PENDING, None, 0, ())
    deliverer.let_go(OTHER)
    late = await ended(store)
    await asyncio.sleep(0)
    assert len(deliverer.sent) == 2
    await make("next").start()
    await deliverer.until_sent(4)
    assert {message.id for message in deliverer.sent[2:]} == {slow.id, late.id}


async def test_a_lease_that_fails_while_it_drains_does_not_hide_the_drain(store, make, monkeypatch):
    """The store went away in the same moment; a courier that went on would hold up the end of the process for good."""
    courier = make()
    asked, proceed = asyncio.Event(), asyncio.Event()

    async def away(_):
        asked.set()
        await proceed.wait()
        raise StoreUnavailable("away")

    monkeypatch.setattr(store, "lease_deliveries", away)
    await courier.start()
    await asked.wait()
    draining = asyncio.ensure_future(courier.drain(0.0))
    await asyncio.sleep(0)
    proceed.set()
    done, _ = await asyncio.wait({draining}, timeout=5)
    assert done


async def test_a_deletion_in_mid_attempt_ends_the_delivery_quietly(store, make, deliverer, caplog):
    """There is nothing left to settle."""
    deliverer.hold(URL)
    delivery = await ended(store)
    await make().start()
    await deliverer.until_sent(1)
    await store.delete(delivery.operation, check=transitions.refuse_delete, now=NOW)
    deliverer.let_go(URL)
    other = await ended(store, OTHER)
    await until(store, other, DeliveryStatus.DELIVERED)
    assert await store.get_delivery(delivery.id) is None
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_an_outcome_waits_for_a_store_that_is_away(store, make, deliverer, monkeypatch):
    """It is written once the store is back; the attempt is not made again."""
    monkeypatch.setattr(courier_module, "_PATIENCE", 0)
    delivery = await ended(store)
    write, refused = store.change_delivery, []

    async def away(delivery_id, transition):
        if len(refused) < 3:
            refused.append(delivery_id)
            raise StoreUnavailable("away")
        return await write(delivery_id, transition)

    monkeypatch.setattr(store, "change_delivery", away)
    await make().start()
    await until(store, delivery, DeliveryStatus.DELIVERED)
    assert (len(deliverer.sent), len(refused)) == (1, 3)


async def test_a_store_that_is_away_stops_nothing(store, make, deliverer, monkeypatch):
    """The next look finds what this one could not."""
    monkeypatch.setattr(courier_module, "_POLL", 0.01)
    lease, refused = store.lease_deliveries, []

    async def away(claim):
        if len(refused) < 2:
            refused.append(claim)
            raise StoreUnavailable("away") if refused[1:] else RuntimeError("a bug")
        return await lease(claim)

    monkeypatch.setattr(store, "lease_deliveries", away)
    delivery = await ended(store)
    await make().start()
    await until(store, delivery, DeliveryStatus.DELIVERED)
    assert len(refused) == 2


async def test_a_bug_in_the_deliverer_takes_its_turn_in_the_schedule(store, make, deliverer, caplog):
    """Tried at once and for ever, it would burn."""
    deliverer.answers[URL] = RuntimeError("a bug")
    delivery = await ended(store)
    await make().start()
    await deliverer.until_sent(1)
    found = await until(store, delivery, DeliveryStatus.PENDING)
    assert (found.tries, found.log[0].attempt.failure) == (1, "unexpected")
    assert "a bug" in caplog.text


async def test_a_body_that_cannot_be_made_takes_its_turn_in_the_schedule(store, make, deliverer, caplog, monkeypatch):
    """As any other bug of ours: left with its courier, it would be tried every minute and never be given up."""

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(courier_module, "webhook_body", broken)
    courier = make()
    delivery = await ended(store)
    await courier.run_once()
    found = await until(store, delivery, DeliveryStatus.PENDING)
    assert (found.tries, found.log[-1].attempt.failure) == (1, "unexpected")
    assert "ZeroDivisionError" in caplog.text


async def test_an_endpoint_that_is_disabled_is_reported_and_gets_nothing_more(store, make, deliverer, caplog, time):
    """The log names the receiver and not the URL, whose path may be a secret."""
    deliverer.answers[URL] = Attempt(latency=SECOND, status=500)
    ill = Health(url=URL, failing_since=NOW - timedelta(days=5), last_failed_at=NOW - timedelta(hours=20))
    await store.change_endpoint(URL, lambda _: ill)
    delivery = await ended(store)
    await make().start()
    await until(store, delivery, DeliveryStatus.PAUSED)
    assert "https://hooks.example.com:443 is disabled" in caplog.text
    assert "/one" not in caplog.text
    later = await ended(store)
    assert (later.status, len(deliverer.sent)) == (DeliveryStatus.PAUSED, 1)


async def test_a_redelivery_that_succeeds_enables_its_endpoint(store, make, deliverer, time):
    """What was paused follows."""
    await store.change_endpoint(URL, lambda health: Health(url=health.url, last_failed_at=NOW, disabled_at=NOW))
    first, second = await ended(store), await ended(store)
    courier = make()
    await courier.start()
    await store.change_delivery(
        first.id, lambda found, health: Verdict(delivery_rules.redeliver(found, now=NOW), health)
    )
    courier.notice()
    await until(store, first, DeliveryStatus.DELIVERED)
    courier.notice()
    await until(store, second, DeliveryStatus.DELIVERED)
    assert await store.unhealthy_endpoints() == []


async def test_unknown_endpoints_are_left_to_processes_that_know_them(store, make, deliverer):
    """During a deployment, and after a webhook was removed."""
    delivery = await ended(store)
    await make(policy=WebhookPolicy(webhooks=(Webhook(url=OTHER, secret=SECRET),))).start()
    await asyncio.sleep(0)
    assert (await store.get_delivery(delivery.id)).status is DeliveryStatus.PENDING
    assert await store.list_deliveries(DeliveryQuery(statuses=(DeliveryStatus.SENDING,))) == []
