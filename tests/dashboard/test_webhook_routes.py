"""What the page's view of webhooks asks: endpoints and their health, all deliveries, and what operators do there."""

from __future__ import annotations

import pytest

from tests.dashboard.application import CONFIGURED, NOWHERE, SECRET
from tests.dashboard.conftest import API, disabled, ended, fresh, submitted
from tests.readers.serving import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def endpoint(asking, url):
    """Return what is shown of an endpoint; None where it is not shown."""
    return next((each for each in asking.get("/webhooks")["items"] if each["url"] == url), None)


def test_endpoints_are_shown_with_their_health_and_without_secrets(server, viewer):
    """Configured ones always, callers' own once they fail."""
    ended(server, submitted(server, "/drawings", json={}, hook=NOWHERE))
    eventually(lambda: (endpoint(viewer, NOWHERE) or {}).get("failing_since"), "a failure of the callback", server)
    eventually(lambda: endpoint(viewer, CONFIGURED)["failing_since"], "a failure of the webhook", server)
    own, callers = endpoint(viewer, CONFIGURED), endpoint(viewer, NOWHERE)
    assert (own["configured"], own["events"], own["disabled_at"]) == (True, ["operation.progress"], None)
    assert own["newest"]["url"] == CONFIGURED
    assert (callers["configured"], callers["events"]) == (False, [])
    answer = viewer.request("GET", f"{API}/webhooks")
    assert SECRET not in answer.text
    assert answer.json()["callbacks"] == ["http://127.0.0.1:1", "http://127.0.0.1:2"]


def test_the_log_of_deliveries_is_filtered_and_paged(server, viewer):
    """Newest first, of every owner; by status and by URL, and from an id on."""
    url = f"{NOWHERE}/{fresh()}"
    ids = [submitted(server, "/pages/x", owner=owner, hook=url) for owner in ("ada", "bo", "ada")]
    for each, owner in zip(ids, ("ada", "bo", "ada"), strict=True):
        ended(server, each, owner=owner)
    found = viewer.get("/webhooks/deliveries", params={"url": url})
    assert sorted(each["operation"] for each in found["items"]) == sorted(ids)
    assert [each["id"] for each in found["items"]] == sorted((each["id"] for each in found["items"]), reverse=True)
    assert found["before"] is None
    newest = found["items"][0]["id"]
    older = viewer.get("/webhooks/deliveries", params={"url": url, "before": newest})
    assert [each["id"] for each in older["items"]] == [each["id"] for each in found["items"][1:]]
    assert viewer.get("/webhooks/deliveries", params={"url": url, "status": "delivered"})["items"] == []
    waiting = viewer.get("/webhooks/deliveries", params={"url": url, "status": "pending,sending"})
    assert len(waiting["items"]) == 3


def test_a_page_of_deliveries_says_that_more_follow(server, viewer):
    """Fifty a page, and where the next one begins."""
    url = f"{NOWHERE}/{fresh()}"
    for each in [submitted(server, "/pages/x", hook=url) for _ in range(51)]:
        ended(server, each)
    found = viewer.get("/webhooks/deliveries", params={"url": url})
    assert len(found["items"]) == 50
    rest = viewer.get("/webhooks/deliveries", params={"url": url, "before": found["before"]})
    assert (len(rest["items"]), rest["before"]) == (1, None)


@pytest.mark.parametrize("wish", [{"status": "lost"}, {"before": "op_1"}, {"before": "../x"}])
def test_a_malformed_question_is_400(viewer, wish):
    """A problem that says what is wrong."""
    answer = viewer.request("GET", f"{API}/webhooks/deliveries", params=wish)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:raincheck:problem:malformed-request"


def test_a_disabled_endpoint_is_enabled_once_and_written_down(server, operator, viewer):
    """What was paused is due again; who may look may not, and the second time there is nothing to enable."""
    url = f"{NOWHERE}/{fresh()}"
    disabled(server, url)
    ended(server, submitted(server, "/pages/x", hook=url))
    log = {"url": url, "status": "paused"}
    assert len(viewer.get("/webhooks/deliveries", params=log)["items"]) == 1
    assert endpoint(viewer, url)["reason"] == "it failed for 5 days"
    assert viewer.request("POST", f"{API}/webhooks/enable", json={"url": url}).status_code == 403
    operator.post("/webhooks/enable", json={"url": url})
    assert viewer.get("/webhooks/deliveries", params=log)["items"] == []
    assert f"raincheck.audit olga: enable {url}" in server.log
    answer = operator.request("POST", f"{API}/webhooks/enable", json={"url": url})
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:raincheck:problem:endpoint-not-found")
    assert server.log.count(f"raincheck.audit olga: enable {url}") == 1


def test_a_test_message_tells_what_the_receiver_answered(server, operator, viewer):
    """To configured endpoints alone, by operators alone, with an audit line."""
    assert viewer.request("POST", f"{API}/webhooks/test", json={"url": CONFIGURED}).status_code == 403
    found = operator.post("/webhooks/test", json={"url": CONFIGURED})
    assert (found["succeeded"], found["failure"], found["status_code"]) == (False, "unreachable", None)
    assert found["detail"]
    assert f"raincheck.audit olga: test {CONFIGURED}" in server.log
    stranger = operator.request("POST", f"{API}/webhooks/test", json={"url": "http://127.0.0.1:1/other"})
    assert stranger.status_code == 404


@pytest.mark.parametrize("action", ["enable", "test"])
@pytest.mark.parametrize("body", [b"", b"[]", b'{"url": 1}', b'{"url": "x", "more": 1}'])
def test_a_malformed_action_is_400(operator, action, body):
    """And nothing happens."""
    answer = operator.request("POST", f"{API}/webhooks/{action}", content=body)
    assert answer.status_code == 400


def test_what_the_form_submits_is_written_down(server, operator, viewer):
    """The application's own route knows its caller, not who sits at the page."""
    operation_id = submitted(server, "/refusals")
    path = f"{API}/operations/{operation_id}/submitted"
    assert viewer.request("POST", path).status_code == 403
    operator.post(f"/operations/{operation_id}/submitted")
    assert f"raincheck.audit olga: run {operation_id} (refuse)" in server.log
    assert operator.request("POST", f"{API}/operations/op_unknown/submitted").status_code == 404
