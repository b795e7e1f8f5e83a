"""The demo's webhooks, from an operation's end to the receiver that verifies and shows them."""

import base64
import json
from datetime import UTC, datetime

import httpx2
import pytest
from fastapi.testclient import TestClient

from raincheck.demo import neighbour, receiver
from raincheck.demo.addresses import WEBHOOK_SECRET
from raincheck.webhooks.sign import Signer
from tests.readers import chromium


def signed(message_id, *, version=3, operation="op_1", secret=WEBHOOK_SECRET):
    data = {"id": operation, "kind": "imports", "version": version}
    body = json.dumps({"type": "operation.succeeded", "timestamp": "2026-03-01T12:00:00Z", "data": data}).encode()
    headers = Signer(secret).headers(message_id=message_id, sent_at=datetime.now(UTC), body=body)
    return {"content": body, "headers": headers}


@pytest.fixture
def hooks(monkeypatch):
    monkeypatch.setattr(receiver, "inbox", receiver.Inbox())
    with TestClient(receiver.app) as client:
        yield client


def test_what_comes_twice_is_handled_once(hooks):
    """At least once: the same id is counted, not shown a second time."""
    for _ in range(2):
        assert hooks.post("/webhooks", **signed("msg_1")).status_code == 204
    (shown,) = hooks.get("/arrived").json()
    assert (shown["webhook_id"], shown["operation"], shown["times"]) == ("msg_1", "op_1", 2)


def test_the_newest_version_comes_first_whatever_arrived_last(hooks):
    """In any order: the receiver goes by the operation's version."""
    for message_id, version in (("msg_9", 9), ("msg_4", 4)):
        hooks.post("/webhooks", **signed(message_id, version=version))
    assert [each["version"] for each in hooks.get("/arrived", params={"operation": "op_1"}).json()] == [9, 4]


def test_what_is_not_signed_is_refused_and_not_shown(hooks):
    """Another secret, a changed body, no headers at all."""
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    changed = signed("msg_1")
    changed["content"] = changed["content"].replace(b"imports", b"exports")
    for forged in (signed("msg_1", secret=other), changed, {"content": b"{}"}):
        assert hooks.post("/webhooks", **forged).status_code == 400
    assert hooks.get("/arrived").json() == []


def test_old_webhooks_make_room(hooks, monkeypatch):
    """A demo that runs for days keeps the newest."""
    monkeypatch.setattr(receiver, "KEPT", 2)
    for number in range(4):
        hooks.post("/webhooks", **signed(f"msg_{number}"))
    assert [each["webhook_id"] for each in hooks.get("/arrived").json()] == ["msg_3", "msg_2"]


def test_who_waits_for_what_never_comes_gets_an_empty_list(hooks, monkeypatch):
    """The wait has an end."""
    monkeypatch.setattr(receiver, "PATIENCE", 0.01)
    assert hooks.get("/arrived", params={"operation": "op_2"}).json() == []


def test_a_neighbour_ends_with_its_block():
    """Nothing of the demo goes on listening."""
    listener = neighbour.listening()
    url = neighbour.url_of(listener)
    with neighbour.started("raincheck.demo.receiver", listener):
        assert httpx2.get(f"{url}/arrived", timeout=60, trust_env=False).json() == []
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/arrived", trust_env=False)


def test_the_end_of_an_operation_arrives_verified(shared_demo):
    """Of a success and of a cancel, each as a webhook of its own."""
    with httpx2.Client(base_url=shared_demo.url, timeout=60, trust_env=False, verify=False) as client:
        tale = client.post("/tales", json={"words": 20}).json()
        endless = client.post("/fractals", json={"iterations": 20_000, "center": [-0.2, 0], "span": 0.1}).json()
        client.post(endless["links"]["cancel"])
        for operation, type_ in ((tale, "operation.succeeded"), (endless, "operation.cancelled")):
            (webhook,) = client.get("/arrived", params={"operation": operation["id"]}).json()
            assert (webhook["type"], webhook["kind"]) == (type_, operation["kind"])


def test_the_operators_page_tries_the_receiver_out(shared_demo):
    """A test message is signed, verified and shown by the receiver, and the page tells of the 204."""
    with httpx2.Client(base_url=shared_demo.url, timeout=60, trust_env=False, verify=False) as client:
        (endpoint,) = client.get("/dashboard/api/webhooks").json()["items"]
        headers = {"X-Raincheck-Dashboard": "1"}
        found = client.post("/dashboard/api/webhooks/test", json={"url": endpoint["url"]}, headers=headers).json()
        assert (found["succeeded"], found["status_code"]) == (True, 204)
        assert "raincheck.test" in [each["type"] for each in client.get("/arrived").json()]


@pytest.mark.slow
def test_the_page_lists_what_the_receiver_got(shared_demo):
    """A newcomer starts an import and sees its webhook arrive; it is still there after a reload."""
    if why := chromium.missing():
        pytest.skip(why)
    with chromium.page(shared_demo.url) as page:
        page.goto(shared_demo.url)
        page.click('[data-path="/imports"]')
        page.wait_for_function("document.querySelector('#webhooks li')?.textContent.includes('imports')")
        assert "operation.succeeded" in page.inner_text("#webhooks li")
        page.reload()
        page.wait_for_function("document.querySelector('#webhooks li')?.textContent.includes('imports')")
