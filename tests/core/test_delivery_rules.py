"""What makes a delivery, when it is tried, when it is given up, and when an endpoint is disabled."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raincheck.core import delivery_rules as rules
from raincheck.core import names, transitions
from raincheck.core.deliveries import Attempt, Delivery, DeliveryStatus, Health
from raincheck.core.endpoints import Callback, Endpoint, Source, WebhookType
from raincheck.core.errors import LeaseLost
from raincheck.core.events import Output
from raincheck.core.operation import Progress
from raincheck.testing.conformance.specimens import DAY, LEASE_END, NOW, PROBLEM, RESULT, SECOND, an_operation

URL = "https://hooks.example.com/one"
HOUR = 3600 * SECOND
ALL = tuple(WebhookType)
HEALTHY = Health(url=URL)
PENDING = Delivery(
    id="msg_1",
    operation="op_1",
    source=Source.WEBHOOK,
    url=URL,
    event=WebhookType.SUCCEEDED,
    version=3,
    created_at=NOW,
    due_at=NOW,
)
SENDING = rules.lease(PENDING, worker="me", lease_until=LEASE_END, now=NOW)


def attempt(status=None, **fields):
    return Attempt(latency=SECOND, status=status, **fields)


def settle(found, delivery=SENDING, health=HEALTHY, *, run=1, chance=0.5, now=NOW):
    return rules.settle(delivery, health, run=run, attempt=found, began=now, now=now, chance=chance)


def queued(**fields):
    return an_operation(callback=Callback(URL, ALL), **fields)


def claim(operation):
    return transitions.claim(operation, worker="me", lease_until=LEASE_END, now=NOW)


def told(change, endpoints=()):
    return [delivery.event for delivery in rules.with_deliveries(change, endpoints).deliveries]


class TestWhatMakesADelivery:
    """Ends always, the start and progress where they were asked for."""

    def test_each_change_tells_what_it_is(self):
        """Of one whole life: a start, progress, and one end; output, cancels and retries tell nothing."""
        running = claim(queued(max_attempts=2))
        assert told(running) == ["operation.started"]
        tell = partial(transitions.record, running.operation, run=1, now=NOW)
        assert told(tell(progress=Progress(current=1))) == ["operation.progress"]
        assert told(tell(entries=[Output("1")])) == []
        assert told(tell()) == []
        assert told(transitions.request_cancel(running.operation, now=NOW)) == []
        again = transitions.fail(running.operation, run=1, error=PROBLEM, retry_at=NOW, now=NOW)
        assert told(again) == []
        second = claim(again.operation)
        assert told(second) == []
        assert told(transitions.succeed(second.operation, run=2, result=RESULT, now=NOW)) == ["operation.succeeded"]
        assert told(transitions.fail(second.operation, run=2, error=PROBLEM, now=NOW)) == ["operation.failed"]
        assert told(transitions.request_cancel(queued(), now=NOW)) == ["operation.cancelled"]

    def test_an_end_that_carries_the_last_progress_tells_the_end_only(self):
        """The runner writes both in one change."""
        running = claim(queued()).operation
        last = transitions.record(running, run=1, progress=Progress(current=1), now=NOW).operation
        end = transitions.succeed(last, run=1, result=RESULT, now=NOW)
        whole = transitions.Change(end.operation, running.version, end.events)
        assert told(whole) == ["operation.succeeded"]

    def test_by_default_only_ends_are_told(self):
        """To callbacks and to endpoints alike."""
        operation = an_operation(callback=Callback(URL))
        endpoints = [Endpoint(URL)]
        running = claim(operation)
        assert told(running, endpoints) == []
        end = transitions.succeed(running.operation, run=1, result=RESULT, now=NOW)
        assert told(end, endpoints) == ["operation.succeeded"] * 2

    def test_the_same_facts_give_the_same_id_and_others_another(self):
        """A transaction that runs twice writes one delivery; ids sort by time and have a shape of their own."""
        change = claim(queued())
        [one] = rules.with_deliveries(change, ()).deliveries
        assert rules.with_deliveries(change, ()).deliveries == (one,)
        both = rules.with_deliveries(change, [Endpoint(URL, ALL), Endpoint(f"{URL}/2", ALL)]).deliveries
        assert len({each.id for each in both}) == 3
        assert all(names.is_delivery_id(each.id) and not names.is_operation_id(each.id) for each in both)
        assert not names.is_delivery_id(change.operation.id)
        later = transitions.succeed(change.operation, run=1, result=RESULT, now=NOW + SECOND)
        assert rules.with_deliveries(later, ()).deliveries[0].id > one.id

    def test_nobody_who_listens_costs_nothing(self):
        """The change itself comes back."""
        change = claim(an_operation())
        assert rules.with_deliveries(change, ()) is change


class TestTheSchedule:
    """0 s, 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""

    def test_an_endpoint_that_never_answers_is_tried_ten_times(self):
        """Each time at the schedule's distance, then never again."""
        delivery, waits = SENDING, []
        while True:
            delivery = settle(attempt(failure="timeout"), delivery, run=delivery.run).delivery
            if delivery.status is DeliveryStatus.FAILED:
                break
            waits.append(delivery.due_at - NOW)
            delivery = rules.lease(delivery, worker="me", lease_until=LEASE_END, now=delivery.due_at)
        minutes = 60 * SECOND
        assert waits == [5 * SECOND, 5 * minutes, 30 * minutes, *(n * HOUR for n in (2, 5, 10, 14, 20, 24))]
        assert (delivery.tries, len(delivery.log), delivery.finished_at) == (10, 10, NOW)

    @given(tries=st.integers(1, 9), chance=st.floats(0, 1, exclude_max=True))
    def test_jitter_is_a_fifth_around(self, tries, chance):
        """So that what failed together does not come back together."""
        wait = rules.wait_after(tries, attempt(500), chance=chance)
        assert 0.8 * rules.DELAYS[tries] <= wait <= 1.2 * rules.DELAYS[tries]

    @given(
        tries=st.integers(1, 9),
        status=st.sampled_from([429, 503]),
        asked=st.integers(0, 10**9),
        chance=st.floats(0, 1, exclude_max=True),
    )
    def test_a_receiver_may_ask_for_time_up_to_the_double(self, tries, status, asked, chance):
        """Never earlier than planned, and it cannot put a delivery off for ever."""
        planned = rules.wait_after(tries, attempt(500), chance=chance)
        wait = rules.wait_after(tries, attempt(status, retry_after=timedelta(seconds=asked)), chance=chance)
        assert wait == min(max(planned, timedelta(seconds=asked)), 2 * planned)

    def test_other_answers_do_not_move_the_schedule(self):
        """``Retry-After`` with a 500 says nothing (Standard Webhooks names 429 and 503)."""
        asked = attempt(500, retry_after=9 * SECOND)
        assert settle(asked).delivery.due_at == NOW + 5 * SECOND


class TestOutcomes:
    """2xx delivers, 410 stops, everything else is tried again."""

    @pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
    def test_any_2xx_delivers(self, status):
        """And the endpoint is healthy again."""
        ill = rules.after_failure(HEALTHY, now=NOW)
        verdict = settle(attempt(status), health=ill)
        assert (verdict.delivery.status, verdict.delivery.finished_at) == (DeliveryStatus.DELIVERED, NOW)
        assert (verdict.delivery.worker, verdict.delivery.lease_until) == (None, None)
        assert verdict.health == HEALTHY

    @pytest.mark.parametrize(
        "status", [100, 199, 300, 301, 302, 307, 308, 400, 401, 404, 409, 429, 500, 503, 599, None]
    )
    def test_everything_else_is_tried_again(self, status):
        """A redirect too: it is never followed."""
        verdict = settle(attempt(status, failure=None if status else "unreachable"))
        assert (verdict.delivery.status, verdict.delivery.tries) == (DeliveryStatus.PENDING, 1)
        assert verdict.health.failing_since == NOW

    def test_410_stops_the_delivery_and_disables_the_applications_endpoint(self):
        """Whoever answers Gone wants no more; a caller's word counts for its own delivery only."""
        verdict = settle(attempt(410))
        assert (verdict.delivery.status, verdict.health.disabled_at) == (DeliveryStatus.FAILED, NOW)
        callback = settle(attempt(410), replace(SENDING, source=Source.CALLBACK))
        assert (callback.delivery.status, callback.health.disabled) == (DeliveryStatus.FAILED, False)

    def test_progress_is_tried_once(self):
        """It is lossy: the next one says more."""
        verdict = settle(attempt(500), replace(SENDING, event=WebhookType.PROGRESS))
        assert verdict.delivery.status is DeliveryStatus.FAILED

    def test_the_log_keeps_the_newest_attempts_and_the_beginning_of_answers(self):
        """However often somebody asks for another delivery."""
        delivery = SENDING
        for number in range(30):
            delivery = replace(delivery, status=DeliveryStatus.SENDING)
            delivery = settle(attempt(400 + number, excerpt="x" * 99_999, detail="y" * 99_999), delivery).delivery
        assert [tried.attempt.status for tried in delivery.log] == list(range(410, 430))
        assert {(len(tried.attempt.excerpt), len(tried.attempt.detail)) for tried in delivery.log} == {(1000, 1000)}

    def test_a_lost_lease_settles_nothing(self):
        """Another run, or one that was taken away."""
        for delivery, run in ((SENDING, 2), (replace(SENDING, run=2), 1), (PENDING, 0)):
            with pytest.raises(LeaseLost):
                settle(attempt(200), delivery, run=run)
            with pytest.raises(LeaseLost):
                rules.release(delivery, HEALTHY, run=run)


class TestLeases:
    """A delivery belongs to one courier at a time."""

    def test_a_lease_is_taken_from_a_silent_courier_when_it_has_run_out(self):
        """Not before; no attempt is counted."""
        assert rules.expire(SENDING, HEALTHY, run=1, now=LEASE_END - SECOND) is None
        verdict = rules.expire(SENDING, HEALTHY, run=1, now=LEASE_END)
        assert verdict.delivery == replace(PENDING, run=1)
        assert rules.expire(PENDING, HEALTHY, run=0, now=LEASE_END) is None

    def test_what_is_handed_back_to_a_disabled_endpoint_is_paused(self):
        """It was leased before the endpoint was disabled."""
        disabled = replace(HEALTHY, disabled_at=NOW)
        assert rules.release(SENDING, disabled, run=1).delivery.status is DeliveryStatus.PAUSED
        assert settle(attempt(500), health=disabled).delivery.status is DeliveryStatus.PAUSED


class TestRedelivery:
    """Somebody asks for it again."""

    @pytest.mark.parametrize("status", [DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.PAUSED])
    def test_an_ended_or_paused_delivery_gets_the_whole_schedule_again(self, status):
        """With its id and its log."""
        ended = replace(SENDING, status=status, tries=10, finished_at=NOW, run=7)
        again = rules.redeliver(ended, now=NOW + DAY)
        assert (again.id, again.status, again.due_at, again.tries, again.finished_at, again.run) == (
            *(ended.id, DeliveryStatus.PENDING, NOW + DAY, 0, None, 7),
        )

    def test_a_waiting_delivery_becomes_due_and_one_that_is_sent_stays(self):
        """Asking twice sends once."""
        waiting = replace(PENDING, due_at=NOW + HOUR, tries=3)
        assert rules.redeliver(waiting, now=NOW) == replace(waiting, due_at=NOW)
        assert rules.redeliver(SENDING, now=NOW) is SENDING
        assert rules.redeliver(PENDING, now=NOW + HOUR) == PENDING


class TestHealth:
    """Five days of failures disable an endpoint."""

    def test_five_days_of_failures_disable(self):
        """Counted from the first one."""
        health = HEALTHY
        for day in range(5):
            health = rules.after_failure(health, now=NOW + day * DAY)
            assert not health.disabled
        health = rules.after_failure(health, now=NOW + 5 * DAY)
        assert (health.disabled_at, health.failing_since) == (NOW + 5 * DAY, NOW)
        assert "5 days" in health.reason
        assert rules.after_failure(health, now=NOW + 6 * DAY).disabled_at == NOW + 5 * DAY

    def test_failures_far_apart_do_not_belong_together(self):
        """One failure a week disables nothing."""
        health = HEALTHY
        for week in range(9):
            health = rules.after_failure(health, now=NOW + 7 * week * DAY)
        assert (health.disabled, health.failing_since) == (False, NOW + 56 * DAY)

    @given(st.lists(st.tuples(st.integers(1, 60 * 24 * 8), st.booleans()), max_size=60))
    def test_an_endpoint_is_disabled_only_by_five_days_without_a_success(self, story):
        """Whatever happens in between, a success resets."""
        health, now, failing_since = HEALTHY, NOW, None
        for minutes, succeeded in story:
            now += timedelta(minutes=minutes)
            health = settle(attempt(200 if succeeded else 500), health=health, now=now).health
            failing_since = None if succeeded else failing_since or now
            if health.disabled:
                assert now - failing_since >= 5 * DAY
                return
            assert (health == HEALTHY) == succeeded
