"""What the operator's page may ask: everything of everyone behind its guard, and to act only from the page itself."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from raincheck import Raincheck
from raincheck.dashboard.figures import Figures, window
from tests.dashboard.application import HOSTILE, guard, rain
from tests.dashboard.conftest import API, Asking, ended, fresh, submitted
from tests.readers.serving import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def own_routes():
    """Return the method and the path of each route below the page."""
    from raincheck.dashboard.routes import dashboard_routes

    router = dashboard_routes(rain._gateway, guard=guard, kinds=rain.kinds)
    return [(method, route.path) for route in router.routes for method in route.methods]


def test_every_route_of_the_page_is_guarded(server):
    """The page itself, its assets and what it asks: nobody gets past the guard, whose own answer is given."""
    routes = own_routes()
    assert len(routes) > 15
    for method, path in routes:
        place = re.sub(r"\{[^}]*\}", "x", path)
        answer = server.client.request(method, place, headers={"X-Raincheck-Dashboard": "1"})
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"] == "Basic"


def test_without_a_guard_there_is_no_page():
    """It is off until the application says who may come."""
    app = FastAPI()
    Raincheck(app, store="memory:")
    with TestClient(app) as client:
        assert client.get("/dashboard").status_code == 404
        assert client.get("/dashboard/api/session").status_code == 404


@pytest.mark.parametrize(
    ("role", "name", "acts"),
    [("operator", "olga", True), ("viewer", "vera", False), ("name", "nina", False), ("nothing", "viewer", False)],
)
def test_what_the_guard_returns_decides_who_may_act(server, role, name, acts):
    """Only an Operator acts; a text is a name, anything else somebody who may look."""
    found = Asking(server, role).get("/session")
    assert (found["name"], found["operator"]) == (name, acts)
    assert {kind["name"] for kind in found["kinds"]} == {"draw", "page", "refuse"}


def test_operations_of_all_owners_are_listed_and_filtered(server, operator):
    """With what only operators see; page tokens are bound to the filters as on the public list."""
    mark = fresh()
    ids = [submitted(server, "/refusals", owner=owner, metadata=f'mark="{mark}"') for owner in ("ada", "bo", "bo")]
    found = operator.get("/operations", params={"tag.mark": mark})["items"]
    assert [each["id"] for each in found] == ids[::-1]
    assert [each["owner"] for each in found] == ["bo", "bo", "ada"]
    assert found[0]["links"]["self"] == f"/behind{API}/operations/{ids[2]}"
    page = operator.get("/operations", params={"tag.mark": mark, "owner": "bo", "page_size": 1})
    assert [each["id"] for each in page["items"]] == [ids[2]]
    following = {"tag.mark": mark, "owner": "bo", "page_size": 1, "page_token": page["next_page_token"]}
    assert [each["id"] for each in operator.get("/operations", params=following)["items"]] == [ids[1]]
    other = operator.request("GET", f"{API}/operations", params={**following, "owner": "ada"})
    assert other.status_code == 400


def test_one_operation_shows_what_clients_never_see(server, operator):
    """Traceback and input; the public route has neither."""
    operation_id = submitted(server, "/drawings", json={"fails": True})
    public = ended(server, operation_id)
    found = operator.get(f"/operations/{operation_id}/details")
    assert "RuntimeError: out of " in found["traceback"]
    assert json.loads(found["input"]["body"]) == {"fails": True}
    assert (found["owner"], found["executor"], found["queue"], found["run"]) == ("ada", "async", "default", 1)
    assert "Traceback" not in json.dumps(public)
    assert operator.get(f"/operations/{operation_id}")["status"] == "failed"
    stranger = server.client.get(f"/api/operations/{operation_id}", headers={"X-Caller": "bo"})
    assert stranger.status_code == 404


def test_a_result_is_a_download_in_a_sandbox(server, viewer):
    """A page that a function returned runs no script where an operator is logged in."""
    operation_id = submitted(server, "/pages/x")
    ended(server, operation_id)
    answer = viewer.request("GET", f"{API}/operations/{operation_id}/result")
    assert answer.text == "<script>alert(1)</script>x"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_who_may_look_may_not_act(server, viewer):
    """403 for each action, nothing changes, and the attempt is in the log."""
    operation_id = submitted(server, "/drawings", json={"signal": fresh()})
    bulk = {"action": "cancel", "ids": [operation_id], "batch": "0000-0000"}
    for method, path, body in (
        ("POST", f"/operations/{operation_id}/cancel", None),
        ("POST", f"/operations/{operation_id}/retry", None),
        ("DELETE", f"/operations/{operation_id}", None),
        ("POST", "/bulk", bulk),
    ):
        answer = viewer.request(method, API + path, json=body)
        assert answer.status_code == 403, path
    assert viewer.get(f"/operations/{operation_id}")["status"] in {"queued", "running"}
    assert f"raincheck.audit vera was refused to cancel {operation_id}" in server.log
    Asking(server, "operator").post(f"/operations/{operation_id}/cancel")


@pytest.mark.parametrize("how", ["without the mark", "from another site"])
def test_another_site_cannot_act_with_an_operators_cookies(server, operator, how):
    """Browsers add cookies to anyone's requests; a header of ours they add to none but the page's own."""
    operation_id = submitted(server, "/drawings", json={"signal": fresh()})
    options = {"marked": False} if how == "without the mark" else {"headers": {"Sec-Fetch-Site": "cross-site"}}
    answer = operator.request("POST", f"{API}/operations/{operation_id}/cancel", **options)
    assert answer.status_code == 403
    assert operator.get(f"/operations/{operation_id}")["status"] in {"queued", "running"}
    operator.post(f"/operations/{operation_id}/cancel")


def test_each_action_is_done_and_written_down(server, operator):
    """Cancel, retry and delete of another owner's operation; one audit line each, with who and what."""
    operation_id = submitted(server, "/drawings", owner="bo", json={"signal": fresh()})
    operator.post(f"/operations/{operation_id}/cancel")
    assert ended(server, operation_id, owner="bo")["status"] == "cancelled"
    again = operator.post(f"/operations/{operation_id}/retry")
    assert again["rerun_of"] == operation_id
    assert operator.get(f"/operations/{again['id']}/details")["owner"] == "bo"
    operator.post(f"/operations/{again['id']}/cancel")
    assert operator.request("DELETE", f"{API}/operations/{operation_id}").status_code == 204
    for action in ("cancel", "retry", "delete"):
        assert f"raincheck.audit olga: {action} {operation_id} (draw)" in server.log


def test_what_is_refused_by_the_rules_is_no_action(server, operator):
    """Cancelling what has failed is the same 409 as elsewhere, and leaves no audit line."""
    operation_id = submitted(server, "/refusals")
    ended(server, operation_id)
    answer = operator.request("POST", f"{API}/operations/{operation_id}/cancel")
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:raincheck:problem:operation-finished"
    assert f"olga: cancel {operation_id}" not in server.log


def test_all_that_match_are_acted_on_and_nothing_that_came_later(server, operator):
    """Counted first; what is submitted between the question and the answer is not meant."""
    mark = fresh()

    def one():
        return submitted(server, "/drawings", json={"signal": mark}, metadata=f'mark="{mark}"')

    meant = {one() for _ in range(5)}
    filters = [["tag.mark", mark]]
    count = operator.get("/count/cancel", params=dict(filters))
    assert (count["count"], count["capped"]) == (5, False)
    later = one()
    wish = {"action": "cancel", "batch": "1111-2222", "filters": filters, "until": count["until"]}
    found = operator.post("/bulk", json=wish)
    assert set(found["done"]) == meant
    assert (found["refused"], found["next"]) == ({}, None)
    for each in meant:
        assert ended(server, each)["status"] == "cancelled"
        assert f"olga: cancel {each}" in server.log
    assert operator.get(f"/operations/{later}")["status"] in {"queued", "running"}
    operator.post(f"/operations/{later}/cancel")


def test_a_bulk_retry_that_is_repeated_retries_nothing_twice(server, operator):
    """The page may send a portion again when an answer was lost."""
    mark = fresh()
    for _ in range(3):
        ended(server, submitted(server, "/refusals", metadata=f'mark="{mark}"'))
    count = operator.get("/count/retry", params={"tag.mark": mark})
    wish = {"action": "retry", "batch": fresh().replace("n", "a"), "until": count["until"]}
    wish |= {"filters": [["tag.mark", mark]]}
    first, second = operator.post("/bulk", json=wish), operator.post("/bulk", json=wish)
    assert sorted(first["done"]) == sorted(second["done"])
    assert len(first["done"]) == 3
    found = operator.get("/operations", params={"tag.mark": mark, "page_size": 50})["items"]
    assert len(found) == 6


def test_chosen_operations_that_changed_meanwhile_are_named(server, operator):
    """The others are done all the same."""
    finished, waiting = submitted(server, "/refusals"), submitted(server, "/drawings", json={"signal": fresh()})
    ended(server, finished)
    found = operator.post("/bulk", json={"action": "cancel", "batch": "3333-4444", "ids": [finished, waiting]})
    assert found["done"] == [waiting]
    assert found["refused"] == {finished: "The operation is already finished"}
    assert f"olga: cancel {finished}" not in server.log


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"action": "delete", "batch": "0000-0000"}', b'{"action": "cancel", "batch": "!"}'],
)
def test_a_malformed_bulk_request_is_400(operator, body):
    """A problem document, as everywhere."""
    answer = operator.request("POST", f"{API}/bulk", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_figures_count_what_happened(server, operator):
    """The window's sums are those of its buckets and of its kinds."""
    before = operator.get("/overview", params={"minutes": 15})
    for _ in range(3):
        ended(server, submitted(server, "/refusals"))
    ended(server, submitted(server, "/pages/x"))

    def counted():
        found = operator.get("/overview", params={"minutes": 15})
        return [found["finished"][status] - before["finished"][status] for status in ("succeeded", "failed")] == [1, 3]

    eventually(counted, "the new figures", server)
    after = operator.get("/overview", params={"minutes": 15})
    for status in ("succeeded", "failed", "cancelled"):
        assert sum(after["series"][status]) == after["finished"][status]
        assert sum(kind[status] for kind in after["kinds"]) == after["finished"][status]
    assert after["finished"]["p95"] >= after["finished"]["p50"] > 0
    assert len(after["series"]["time"]) == 60
    assert operator.request("GET", f"{API}/overview", params={"minutes": 61}).status_code == 400


@pytest.mark.anyio
async def test_however_many_tabs_ask_it_is_counted_a_tenth_of_the_time(monkeypatch):
    """Those that ask meanwhile get what was counted for the first; after nine times its length it is counted anew."""
    counts = 0

    async def counting(*_arguments, **_options):
        nonlocal counts
        counts += 1
        await asyncio.sleep(0.05)
        return {"count": counts}

    monkeypatch.setattr("raincheck.dashboard.figures._overview", counting)
    figures = Figures()
    length, bucket = window("60")
    found = await asyncio.gather(*(figures.of(None, length=length, bucket=bucket) for _ in range(20)))
    assert {each["count"] for each in found} == {1}
    until, kept = figures._counted[length]
    assert until - asyncio.get_running_loop().time() > 0.4
    figures._counted[length] = (0.0, kept)
    assert (await figures.of(None, length=length, bucket=bucket))["count"] == 2


def test_workers_show_what_they_run_and_when_they_were_heard(server, operator):
    """A worker is alive, and its lease tells when it was renewed."""
    signal = fresh()
    operation_id = submitted(server, "/drawings", json={"signal": signal})

    def held():
        return [
            worker
            for worker in operator.get("/workers")["items"]
            if any(each["id"] == operation_id for each in worker["operations"])
        ]

    eventually(lambda: bool(held()), "a worker with the operation", server)
    (worker,) = held()
    assert worker["dead"] is False
    assert worker["renewed_at"] < worker["lease_until"]
    server.give(signal)
    ended(server, operation_id)


def test_everything_is_followed_live_whoever_owns_it(server, operator):
    """One stream tells of every owner's status; it replays nothing."""
    with server.client.stream("GET", f"{API}/operations/events", headers={"X-Role": "viewer"}) as stream:
        assert stream.status_code == 200
        ids = {submitted(server, "/refusals", owner=owner) for owner in ("ada", "bo")}
        done = set()
        for line in stream.iter_lines():
            if line.startswith("data: ") and json.loads(line[6:])["type"] == "done":
                done.add(json.loads(line[6:])["operation"])
            if ids <= done:
                break
    assert ids <= done


def test_one_operation_is_followed_as_its_owner_does(server, operator):
    """The same log as the public stream, but for where the links lead."""
    operation_id = submitted(server, "/drawings", json={})
    ended(server, operation_id)
    public = server.client.get(f"/api/operations/{operation_id}/events", params={"after": 0})
    own = operator.request("GET", f"{API}/operations/{operation_id}/events", params={"after": 0})
    types = re.findall(r"^event: (.*)$", public.text, re.MULTILINE)
    assert types == re.findall(r"^event: (.*)$", own.text, re.MULTILINE)
    assert types[-1] == "done"
    assert operator.request("GET", f"{API}/operations/op_unknown/events").status_code == 404


def test_the_page_forbids_what_it_does_not_need(server, viewer):
    """No inline script or style, nothing from elsewhere, in nobody's frame; it knows where it is."""
    for path in ("/api/dashboard", "/api/dashboard/operations/op_1", "/behind/api/dashboard"):
        answer = viewer.request("GET", path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert '<base href="/behind/api/dashboard/" />' in answer.text
        assert "<script>" not in answer.text
        assert "style=" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
    script = re.search(r'src="\./(assets/[^"]+\.js)"', answer.text)
    assert script
    asset = viewer.request("GET", f"/api/dashboard/{script[1]}")
    assert asset.headers["content-type"].startswith("text/javascript")
    assert "immutable" in asset.headers["cache-control"]


@pytest.mark.parametrize("name", ["nothing.js", "..%2Findex.html", "%2e%2e/%2e%2e/access.py", ".hidden.js", "a%00.js"])
def test_assets_are_the_built_files_and_nothing_else(viewer, name):
    """No way out of their folder."""
    answer = viewer.request("GET", f"/api/dashboard/assets/{name}")
    assert answer.status_code == 404 or "<!doctype html>" in answer.text
    assert "import" not in answer.text


def test_an_unknown_question_is_no_page(viewer):
    """A client that asks for what is not there gets a problem, not HTML with 200."""
    assert viewer.request("GET", f"{API}/nothing").status_code == 400
    assert viewer.request("GET", f"{API}/count/delete").status_code == 400


def test_the_page_is_not_in_the_applications_document(server):
    """It is for eyes, not for clients."""
    paths = server.client.get("/openapi.json").json()["paths"]
    assert not [path for path in paths if "dashboard" in path]
    assert HOSTILE not in json.dumps(paths)
