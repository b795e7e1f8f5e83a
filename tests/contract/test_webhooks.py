"""Webhooks: what arrives, what is tried again, what callers see of it (docs/contract.md)."""

from __future__ import annotations

import pytest

from tests.contract.serving import assert_problem, eventually, fresh_name

ORDER = {"pages": 3, "title": "rain"}


@pytest.fixture
def caller(calling):
    """A caller of the application that sends webhooks."""
    return calling.caller()


@pytest.fixture
def path():
    """A path of the receiver that no other test uses."""
    return f"/{fresh_name()}"


@pytest.fixture
def called(receiver, path):
    """The headers that ask for a webhook at that path."""
    return {"Callback-Url": receiver.url + path}


def deliveries(caller, operation):
    answer = caller.get(f"/operations/{operation['id']}/deliveries")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def until_status(caller, operation, status):
    """Wait until the operation's callback has a status, and return it."""
    found = {}

    def reached():
        for each in deliveries(caller, operation):
            if each["source"] == "callback":
                found.update(each)
        return found.get("status") == status

    eventually(reached, f"the status {status}")
    return found


# --- rows ---------------------------------------------------------------------------------------------------------


def test_callback_url_hears_of_the_end(caller, calling, receiver, path, called):
    """Each end is told once, signed, as the status URL shows it but with absolute links."""
    submitted = caller.submit("/reports", json=ORDER, headers=called)
    assert submitted["links"]["deliveries"] == f"/operations/{submitted['id']}/deliveries"
    [received] = receiver.until(path, 1)
    assert received.headers["content-type"] == "application/json"
    event = received.event
    operation = caller.operation(submitted["id"])
    assert (event["type"], event["timestamp"]) == ("operation.succeeded", operation["finished_at"])
    links = {name: f"https://public.example/api{link}" for name, link in operation["links"].items()}
    links["websocket"] = "wss://public.example/api/operations/ws"
    assert event["data"] == {**operation, "links": links}
    caller.finished("/crashes", headers=called)
    held = caller.submit(f"/held/{fresh_name()}", headers=called)
    caller.post(f"/operations/{held['id']}/cancel")
    types = [each.event["type"] for each in receiver.until(path, 3)]
    assert sorted(types) == ["operation.cancelled", "operation.failed", "operation.succeeded"]


def test_callback_events_choose(caller, calling, receiver, path, called):
    """The start and progress are sent where they were asked for, and ends are not where they were not."""
    name = fresh_name()
    events = {**called, "Callback-Events": "operation.started,  operation.progress"}
    operation = caller.submit(f"/steps/{name}", headers=events)
    [start] = receiver.until(path, 1)
    assert start.event["type"] == "operation.started"
    calling.give(f"{name}-1")
    _, progress = receiver.until(path, 2)
    assert (progress.event["type"], progress.event["data"]["progress"]["current"]) == ("operation.progress", 1)
    for step in ("-2", "-3", ""):
        calling.give(f"{name}{step}")
    caller.done(operation["id"])
    assert {each["type"] for each in deliveries(caller, operation) if each["source"] == "callback"} <= {
        "operation.started",
        "operation.progress",
    }


def test_callback_urls_are_judged_at_submit(caller, receiver):
    """As a text and by the application's rules; whatever is refused creates nothing."""
    for url in (
        "",
        "nowhere",
        "ftp://files.example.com/",
        "https://user:password@hooks.example.com/",
        "https://hooks.example.org/",
        "https://example.com/",
        "https://hooks.example.com:22/",
        "https://hooks.example.com/#top",
        "https://hooks.example.com/\u00e9",
        f"https://hooks.example.com/{'x' * 4000}",
    ):
        answer = caller.post("/reports", json=ORDER, headers=[("Callback-Url", url.encode())])
        assert_problem(answer, 400, "callback-url-refused")
    url = ("Callback-Url", f"{receiver.url}/never")
    for headers in (
        [("Callback-Events", "operation.failed")],
        [url, url],
        [url, ("Callback-Events", "operation.done")],
        [url, ("Callback-Events", "")],
    ):
        assert_problem(caller.post("/reports", json=ORDER, headers=headers), 400, "malformed-request")
    assert caller.listed() == []


def test_replays_keep_the_first_callback(caller, receiver, path, called):
    """Headers do not make another request: the operation and its callback are those of the first submit."""
    key = {"Idempotency-Key": fresh_name()}
    first = caller.submit("/reports", json=ORDER, headers={**called, **key})
    receiver.until(path, 1)
    elsewhere = f"{path}-elsewhere"
    again = caller.submit("/reports", json=ORDER, headers={"Callback-Url": receiver.url + elsewhere, **key})
    bare = caller.submit("/reports", json=ORDER, headers=key)
    assert again["id"] == bare["id"] == first["id"]
    assert len(deliveries(caller, first)) == 1
    assert receiver.at(elsewhere) == []


def test_a_receiver_may_be_asked_first(asking, receiver, path, called):
    """Nothing is sent to a URL that does not agree, and what waited is sent once it does; it is asked once."""
    caller = asking.caller()
    caller.finished("/crashes", headers=called)
    eventually(lambda: len([each for each in receiver.asked if each[0] == path]) > 1, "a second question")
    assert {origin for each, origin in receiver.asked if each == path} == {"public.example"}
    assert receiver.at(path) == []
    receiver.agreed[path] = "public.example"
    [received] = receiver.until(path, 1)
    assert received.event["type"] == "operation.failed"
    asked = len(receiver.asked)
    caller.finished("/crashes", headers=called)
    receiver.until(path, 2)
    assert len(receiver.asked) == asked


def test_retries_keep_the_callback(caller, calling, receiver, path, called):
    """The caller hears of the second try as of the first."""
    name = fresh_name()
    failed = caller.finished(f"/recoveries/{name}", headers=called)
    calling.give(name)
    again = caller.post(f"/operations/{failed['id']}/retry").json()
    told = {each.event["data"]["id"]: each.event["data"]["status"] for each in receiver.until(path, 2)}
    assert told == {failed["id"]: "failed", again["id"]: "succeeded"}


def test_configured_webhooks_hear_of_every_operation(caller, receiver):
    """Of what they asked for; their URL, which may hold a token, is shown to nobody."""
    failed = caller.finished("/crashes")
    succeeded = caller.finished("/reports", json=ORDER)
    assert failed["links"]["deliveries"] == f"/operations/{failed['id']}/deliveries"

    def told():
        return {each.event["data"]["id"] for each in receiver.at("/all?token=1")}

    eventually(lambda: failed["id"] in told(), "the webhook")
    assert succeeded["id"] not in told()
    [delivery] = deliveries(caller, failed)
    assert (delivery["source"], delivery["url"]) == ("webhook", None)
    assert "token" not in caller.get(f"/operations/{failed['id']}/deliveries").text
    assert deliveries(caller, succeeded) == []


def test_what_is_not_2xx_is_tried_again(caller, receiver, path, called):
    """With the same id, signed anew, until it is taken."""
    receiver.answers[path] = [500, 404, 429, 200]
    operation = caller.submit("/reports", json=ORDER, headers=called)
    received = receiver.until(path, 4)
    assert len({each.id for each in received}) == 1
    assert all(each.event["type"] == "operation.succeeded" for each in received)
    delivery = until_status(caller, operation, "delivered")
    assert [attempt["status_code"] for attempt in delivery["attempts"]] == [500, 404, 429, 200]


def test_redirects_are_not_followed(caller, receiver, path, called):
    """Following one could lead anywhere."""
    receiver.answers[path] = [307, 200]
    receiver.headers["Location"] = f"{receiver.url}{path}-elsewhere"
    try:
        operation = caller.submit("/reports", json=ORDER, headers=called)
        delivery = until_status(caller, operation, "delivered")
    finally:
        receiver.headers.clear()
    assert [attempt["status_code"] for attempt in delivery["attempts"]] == [307, 200]
    assert receiver.at(f"{path}-elsewhere") == []


def test_gone_stops_the_webhook(caller, receiver, path, called):
    """The receiver wants no more of it."""
    receiver.answers[path] = [410]
    operation = caller.submit("/reports", json=ORDER, headers=called)
    delivery = until_status(caller, operation, "failed")
    assert [attempt["status_code"] for attempt in delivery["attempts"]] == [410]
    assert (delivery["next_attempt_at"], bool(delivery["finished_at"])) == (None, True)


def test_large_results_go_by_link(caller, receiver, path, called):
    """A webhook has at most 20 kB."""
    operation = caller.submit("/large/30000", headers=called)
    [received] = receiver.until(path, 1)
    data = received.event["data"]
    assert len(received.body) < 20_000
    assert (data["result"], data["result_inline"]) == (None, False)
    assert data["links"]["result"] == f"https://public.example/api/operations/{operation['id']}/result"
    assert caller.operation(operation["id"])["result_inline"] is True


def test_deliveries_show_every_attempt(caller, receiver, path, called):
    """What happened and what comes next, but nothing of what the receiver said."""
    receiver.answers[path] = [503]
    operation = caller.submit("/reports", json=ORDER, headers=called)
    receiver.until(path, 2)
    [waiting] = deliveries(caller, operation)
    assert set(waiting) == {
        *("id", "type", "version", "source", "url", "status", "created_at", "next_attempt_at", "finished_at"),
        *("attempts", "links"),
    }
    assert (waiting["id"], waiting["url"]) == (receiver.at(path)[0].id, receiver.url + path)
    assert waiting["status"] in {"pending", "sending"}
    assert waiting["attempts"]
    for attempt in waiting["attempts"]:
        assert set(attempt) == {"time", "status_code", "failure", "latency_ms"}
        assert (attempt["status_code"], attempt["failure"]) == (503, None)
        assert attempt["latency_ms"] >= 0
    assert "own words" not in caller.get(f"/operations/{operation['id']}/deliveries").text
    receiver.answers[path] = [204]
    assert until_status(caller, operation, "delivered")["next_attempt_at"] is None


def test_redelivery_sends_it_again(caller, receiver, path, called):
    """With the same id, also what was given up."""
    receiver.answers[path] = [410, 204]
    operation = caller.submit("/reports", json=ORDER, headers=called)
    delivery = until_status(caller, operation, "failed")
    answer = caller.post(delivery["links"]["redeliver"])
    assert answer.status_code == 202
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.json()["id"], answer.json()["status"]) == (delivery["id"], "pending")
    first, second = receiver.until(path, 2)
    assert first.id == second.id
    assert len(until_status(caller, operation, "delivered")["attempts"]) == 2


def test_deliveries_belong_to_their_owner(caller, calling, receiver, path, called):
    """Nobody else learns that they exist."""
    operation = caller.finished("/reports", json=ORDER, headers=called)
    [delivery] = deliveries(caller, operation)
    other = calling.caller()
    here = f"/operations/{operation['id']}/deliveries"
    assert_problem(other.get(here), 404, "operation-not-found")
    assert_problem(other.post(delivery["links"]["redeliver"]), 404, "operation-not-found")
    own = other.submit("/reports", json=ORDER)
    for unknown in (delivery["id"], "msg_unknown", "0" * 300):
        there = f"/operations/{own['id']}/deliveries/{unknown}/redeliver"
        assert_problem(other.post(there), 404, "delivery-not-found")
    receiver.until(path, 1)


def test_deleting_an_operation_ends_its_webhooks(caller, receiver, path, called):
    """Its deliveries go with it, also those that would have been tried again."""
    receiver.answers[path] = [500]
    operation = caller.submit("/reports", json=ORDER, headers=called)
    receiver.until(path, 1)
    assert caller.delete(f"/operations/{operation['id']}").status_code == 204
    assert_problem(caller.get(f"/operations/{operation['id']}/deliveries"), 410, "operation-deleted")
    seen = len(receiver.at(path))
    # Ten more failures of another one take as long as all attempts of this one would have.
    receiver.answers[f"{path}-other"] = [500] * 9 + [204]
    other = caller.submit("/reports", json=ORDER, headers={"Callback-Url": f"{receiver.url}{path}-other"})
    assert len(until_status(caller, other, "delivered")["attempts"]) == 10
    assert len(receiver.at(path)) <= seen + 1  # one may have been under way


# --- edges --------------------------------------------------------------------------------------------------------


class TestWithoutWebhooks:
    """An application that sends none has no routes and no links for them."""

    def test_there_are_no_deliveries(self, server):
        """Clients find no link that leads nowhere."""
        caller = server.caller()
        operation = caller.submit("/reports", json=ORDER)
        assert "deliveries" not in operation["links"]
        assert caller.get(f"/operations/{operation['id']}/deliveries").status_code == 404


class TestRestart:
    """Deliveries outlive the processes that made them."""

    def test_a_webhook_that_waits_is_sent_after_a_restart(self, start_server, receiver, path, called, calling):
        """With the same id, by whoever comes next on the same file."""
        receiver.answers[path] = [500]
        first = start_server("calling-slowly")
        operation = first.caller("ann").submit("/reports", json=ORDER, headers=called)
        [failed, *_] = receiver.until(path, 1)
        first.stop()
        before = len(receiver.at(path))
        receiver.answers[path] = [204]
        second = start_server("calling-slowly", folder=first.folder)
        received = receiver.until(path, before + 1)
        assert received[-1].id == failed.id
        until_status(second.caller("ann"), operation, "delivered")
