"""``raincheck webhooks`` shows the operator what callers never see, and mends what is broken."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from functools import partial

import pytest

from raincheck.core import delivery_rules
from raincheck.core.deliveries import Attempt, DeliveryStatus, Health
from raincheck.core.endpoints import Callback, Endpoint
from raincheck.core.operation import Status
from raincheck.ports import ListQuery
from raincheck.testing.conformance.delivery_specimens import OTHER, URL, a_delivery, a_delivery_claim, settled
from raincheck.testing.conformance.specimens import NOW, SECOND, brought_to, submitted
from tests.contract.receiver import SECRET, Receiver

APPLICATION = """
from fastapi import FastAPI
from raincheck import Raincheck, Webhook
rain = Raincheck(
    FastAPI(), store="memory:", public_url="https://api.example.com",
    webhooks=[Webhook(url="{url}/one", secret="{secret}", private_networks=True),
              Webhook(url="{url}/two", secret="{secret}", private_networks=True)],
)
"""


@pytest.fixture
def failed(fill):
    """A delivery that failed once, beside one that was never tried."""

    async def work(store):
        await a_delivery(store)
        [leased] = await store.lease_deliveries(a_delivery_claim())
        attempt = Attempt(latency=0.25 * SECOND, status=500, excerpt="no \x1b[31m room")
        verdict = await settled(store, leased, attempt=attempt)
        return verdict.delivery, await a_delivery(store, url=OTHER, created=NOW + SECOND)

    return fill(work)


def test_the_log_shows_status_latency_and_what_the_receiver_said(raincheck, failed):
    """Newest first; control characters cannot steer the terminal."""
    result = raincheck("webhooks", "ls")
    assert result.exit_code == 0
    newest, tried, attempt = result.stdout.splitlines()
    assert newest.startswith(failed[1].id)
    assert tried.startswith(failed[0].id)
    assert attempt.strip() == "1 attempt, last: status 500 in 250 ms: no \N{REPLACEMENT CHARACTER}[31m room"
    assert "\x1b" not in result.stdout


def test_the_log_is_json_for_scripts_and_can_be_filtered(raincheck, failed):
    """One object a line."""
    [line] = raincheck("webhooks", "ls", "--url", URL, "--status", "pending, failed", "--json").stdout.splitlines()
    found = json.loads(line)
    assert (found["id"], found["url"], found["attempts"][0]["excerpt"]) == (failed[0].id, URL, "no \x1b[31m room")
    assert raincheck("webhooks", "ls", "--status", "delivered").stdout == ""
    refused = raincheck("webhooks", "ls", "--status", "lost")
    assert (refused.exit_code, "pending, sending, paused, delivered, failed" in refused.stderr) == (2, True)


def test_a_delivery_is_made_due_again(raincheck, fill):
    """Also one that was given up."""
    given_up = fill(lambda store: a_delivery(store, status=DeliveryStatus.FAILED))
    result = raincheck("webhooks", "redeliver", given_up.id)
    assert (result.exit_code, result.stdout) == (0, f"{given_up.id} is pending.\n")
    found = fill(lambda store: store.get_delivery(given_up.id))
    assert (found.status, found.tries, found.log) == (DeliveryStatus.PENDING, 0, given_up.log)
    told = json.loads(raincheck("webhooks", "redeliver", given_up.id, "--json").stdout)
    assert (told["id"], told["status"]) == (given_up.id, "pending")
    unknown = raincheck("webhooks", "redeliver", "msg_unknown")
    assert (unknown.exit_code, "webhooks ls" in unknown.stderr) == (1, True)


def test_a_disabled_endpoint_is_shown_and_enabled(raincheck, fill, failed):
    """What was paused is due."""
    long_ago = partial(delivery_rules.after_failure, now=NOW + timedelta(days=1), gone=True)
    fill(lambda store: store.change_endpoint(URL, long_ago))
    shown = raincheck("webhooks", "endpoints").stdout
    assert shown.startswith(f"{URL}  disabled since")
    assert "it answered 410 Gone" in shown
    assert json.loads(raincheck("webhooks", "endpoints", "--json").stdout)["reason"] == "it answered 410 Gone"
    assert json.loads(raincheck("webhooks", "enable", URL, "--json").stdout)["disabled_at"] is None
    found = fill(lambda store: store.get_delivery(failed[0].id))
    assert found.status is DeliveryStatus.PENDING
    assert fill(lambda store: store.unhealthy_endpoints()) == []
    again = raincheck("webhooks", "enable", URL)
    assert (again.exit_code, "not disabled" in again.stderr) == (2, True)
    assert raincheck("webhooks", "endpoints").stdout == "No endpoint has failed since its last success.\n"


def test_enabling_leaves_a_failing_endpoint_as_it_is(raincheck, fill, failed):
    """It is not disabled, and its five days go on."""
    assert raincheck("webhooks", "enable", URL).exit_code == 2
    assert fill(lambda store: store.unhealthy_endpoints()) == [
        Health(url=URL, failing_since=NOW, last_failed_at=NOW),
    ]


def test_nothing_is_created_where_there_is_no_store(raincheck, path):
    """A mistyped path must not become an empty database."""
    for command in (("ls",), ("endpoints",), ("redeliver", "msg_1"), ("enable", URL)):
        result = raincheck("webhooks", *command)
        assert (result.exit_code, "no operation store" in result.stderr) == (1, True)
    assert not path.exists()


@pytest.fixture
def receiver():
    """A receiver of webhooks."""
    made = Receiver()
    yield made
    made.close()


def test_a_test_send_is_signed_and_tells_what_the_receiver_answered(raincheck, receiver, tmp_path, monkeypatch):
    """Without a store and without an operation; exit code 1 when one is not taken."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hooked.py").write_text(APPLICATION.format(url=receiver.url, secret=SECRET))
    try:
        result = raincheck("webhooks", "test", "hooked:rain")
        assert (result.exit_code, result.stdout.count("status 204 in")) == (0, 2)
        assert [each.event["type"] for each in receiver.received] == ["raincheck.test"] * 2
        receiver.answers["/two"] = [401]
        assert raincheck("webhooks", "test", "hooked:rain", f"{receiver.url}/one").exit_code == 0
        refused = raincheck("webhooks", "test", "hooked:rain", f"{receiver.url}/two")
        assert (refused.exit_code, "status 401" in refused.stdout) == (1, True)
        assert "own words" in refused.stdout
        told = json.loads(raincheck("webhooks", "test", "hooked:rain", f"{receiver.url}/two", "--json").stdout)
        assert (told["url"], told["status_code"]) == (f"{receiver.url}/two", 401)
        assert list(told) == ["url", "status_code", "failure", "latency_ms", "detail", "excerpt"]
        assert raincheck("webhooks", "test", "hooked:rain", "https://x.example/").exit_code == 2
    finally:
        sys.modules.pop("hooked", None)


def test_a_cancel_from_the_command_line_is_told_to_webhooks(raincheck, fill):
    """It knows no configuration; the store keeps who hears of every operation."""

    async def queue(store):
        await store.set_endpoints([Endpoint(URL)])
        return await submitted(store, callback=Callback(OTHER))

    operation = fill(queue)
    assert raincheck("cancel", operation.id).exit_code == 0
    found = fill(lambda store: store.deliveries_of(operation.id))
    assert {(each.event, each.url) for each in found} == {("operation.cancelled", URL), ("operation.cancelled", OTHER)}


def test_a_retry_from_the_command_line_keeps_the_callback(raincheck, fill):
    """As the route does."""
    failed = fill(lambda store: brought_to(store, Status.FAILED, callback=Callback(OTHER)))
    assert raincheck("retry", failed.id).exit_code == 0
    [again] = fill(lambda store: store.list_page(ListQuery(owner=None, statuses=(Status.QUEUED,))))
    assert (again.rerun_of, again.callback) == (failed.id, Callback(OTHER))
