"""The operator's page in Chromium: live, reachable by keyboard and screen reader, and blind to hostile text."""

from __future__ import annotations

import contextlib
import json
import re

import pytest

from tests.dashboard.application import CONFIGURED, HOSTILE, NOWHERE, NOWHERE_ELSE
from tests.dashboard.conftest import HERE, disabled, ended, fresh, submitted
from tests.dashboard.tabs import BASE, Tab, row
from tests.readers.serving import Server, eventually

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]
VIEWS = ("", "operations", "workers", "webhooks", "run")


def timeline(page):
    """Return the steps of the operation that is shown."""
    return page.locator("section", has=page.get_by_role("heading", name="Timeline")).locator("ol li").all_inner_texts()


# --- what it shows --------------------------------------------------------------------------------------------


def test_the_overview_counts_as_it_happens(server, tab):
    """Without a reload: a failure appears in the figures within seconds."""
    page = tab.go()
    failed = page.locator(".figures li", has_text="Failed").locator("b")
    before = int(failed.inner_text())
    ended(server, submitted(server, "/refusals"))
    page.wait_for_function("([place, count]) => Number(place.innerText) > count", arg=[failed.element_handle(), before])
    assert page.locator("canvas").count() == 2
    page.get_by_role("button", name="15 min").click()
    assert page.url.endswith("?minutes=15")


def test_a_list_lives_until_it_is_paused(server, tab):
    """New operations appear by themselves; paused, only a word says that there is news."""
    page = tab.go("operations")
    page.wait_for_selector("text=Live")
    first = submitted(server, "/refusals")
    row(page, first).wait_for()
    page.get_by_role("button", name="Pause").click()
    second = submitted(server, "/refusals")
    page.wait_for_selector("button >> text=news")
    assert row(page, second).count() == 0
    page.get_by_role("button", name="Go on").click()
    row(page, second).wait_for()


def test_a_list_that_was_on_its_way_when_it_was_paused_is_not_shown(server, tab):
    """Rows must not move under the hand of who has just stopped them."""
    page = tab.go("operations")
    page.wait_for_selector("text=Live")
    row(page, submitted(server, "/refusals")).wait_for()
    held, paused = [], []
    page.route(re.compile(r"/operations\?"), lambda route: route.continue_() if paused else held.append(route))
    second = submitted(server, "/refusals")
    ended(server, second)
    eventually(lambda: page.wait_for_timeout(50) or held, "a look at the list", server)
    page.get_by_role("button", name="Pause").click()
    paused.append(True)
    for route in held:
        route.continue_()
    page.wait_for_selector("button >> text=news")
    assert row(page, second).count() == 0
    page.get_by_role("button", name="Go on").click()
    row(page, second).wait_for()


def test_filters_are_in_the_address(server, tab):
    """An address can be sent to a colleague; back undoes a filter."""
    mark = fresh()
    mine = submitted(server, "/refusals", owner="bo", metadata=f'mark="{mark}"')
    other = submitted(server, "/pages/x", owner="bo", metadata=f'mark="{mark}"')
    ended(server, mine, owner="bo")
    ended(server, other, owner="bo")
    page = tab.go("operations")
    page.get_by_role("searchbox").fill(f"mark={mark} owner:bo")
    page.get_by_role("button", name="Find").click()
    # Until the answer is there, the former list is shown, and both are in it.
    page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 2")
    assert (row(page, mine).count(), row(page, other).count()) == (1, 1)
    page.get_by_role("group", name="Status").get_by_role("button", name="failed").click()
    row(page, other).wait_for(state="detached")
    assert "status=failed" in page.url
    fresh_page = tab.context.new_page()
    fresh_page.goto(page.url)
    row(fresh_page, mine).wait_for()
    assert fresh_page.locator("tbody tr").count() == 1
    page.go_back()
    row(page, other).wait_for()


def test_a_time_narrows_the_list_to_a_moment_in_the_address(server, tab):
    """Whoever gets the address later sees what was submitted since then, not since another moment."""
    operation_id = submitted(server, "/refusals")
    ended(server, operation_id)
    page = tab.go("operations")
    page.get_by_label("Submitted").select_option(label="Last 15 min")
    page.wait_for_function("() => /created_after=20/.test(location.search)")
    row(page, operation_id).wait_for()
    assert page.get_by_label("Submitted").evaluate("each => each.selectedOptions[0].innerText").startswith("Since ")
    page.goto(f"{BASE}/operations?created_after=2099-01-01T00:00:00Z")
    page.get_by_role("button", name="Show all").click()
    row(page, operation_id).wait_for()
    assert "created_after" not in page.url


def test_an_id_leads_to_its_operation(server, tab):
    """Pasted into the search, in any case."""
    operation_id = submitted(server, "/refusals")
    page = tab.go("operations")
    page.get_by_role("searchbox").fill(operation_id.lower().replace("op_", "op_"))
    page.get_by_role("button", name="Find").click()
    page.get_by_role("heading", name="refuse").wait_for()
    assert page.url.endswith(f"/operations/{operation_id}")


def test_one_operation_is_shown_as_it_runs(server, tab):
    """Log, output, progress and timeline grow; at the end there is the result, and nothing is asked any more."""
    signal = fresh()
    operation_id = submitted(server, "/drawings", json={"signal": signal, "steps": 4})
    page = tab.go(f"operations/{operation_id}")
    page.wait_for_selector("text=3 of 4 steps")
    assert page.locator('[role="log"]').inner_text().count("word") >= 1
    assert timeline(page)[-1].startswith("running")
    server.give(signal)
    page.get_by_role("heading", name="Result").wait_for()
    assert timeline(page)[-1].startswith("succeeded")
    assert '"steps": 4' in page.locator("section", has=page.get_by_role("heading", name="Result")).inner_text()
    eventually(lambda: page.evaluate("1") and not tab.open, "the end of the stream", server)


def test_a_failure_shows_its_traceback_and_can_be_retried(server, tab):
    """The new operation is opened at once, and leads back."""
    operation_id = submitted(server, "/drawings", json={"fails": True})
    ended(server, operation_id)
    page = tab.go(f"operations/{operation_id}")
    page.wait_for_selector("text=RuntimeError: out of")
    page.get_by_role("button", name="Retry").click()
    page.wait_for_url(lambda url: operation_id not in url)
    page.get_by_role("link", name=f"…{operation_id[-8:]}").wait_for()


def test_the_request_can_be_copied_as_a_command(server, tab):
    """A shell would submit the same again."""
    operation_id = submitted(server, "/pages/o'neil", params={"times": 2})
    ended(server, operation_id)
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = tab.go(f"operations/{operation_id}")
    page.wait_for_selector("text=times=2")
    page.get_by_role("button", name="Copy as curl").click()
    page.wait_for_selector("text=Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"curl -i 'http://127.0.0.1:{server.port}/behind/pages/o'\\''neil?times=2' -X POST"


def test_hostile_texts_are_shown_as_they_are(server, tab):
    """In titles, messages, logs, errors, results and metadata: no element, no script, no changed title."""
    operation_id = submitted(server, "/drawings", json={}, metadata='note="<img src=x onerror=alert(1)>"')
    ended(server, operation_id)
    page = tab.go(f"operations/{operation_id}")
    page.get_by_role("heading", name="Result").wait_for()
    page.locator('[role="log"]', has_text="<img src=x").wait_for()
    page.locator("dl", has_text="<img src=x onerror=alert(1)>").wait_for()
    assert page.locator("img").count() == 0
    assert page.locator("main script").count() == 0
    assert page.title().startswith(operation_id)
    assert HOSTILE in page.locator('[role="log"]').inner_text()


# --- what it does ---------------------------------------------------------------------------------------------


def test_cancelling_asks_first(server, tab):
    """The harmless answer has the focus; Escape keeps the operation as it is."""
    operation_id = submitted(server, "/drawings", json={"signal": fresh()})
    page = tab.go(f"operations/{operation_id}")
    page.get_by_role("button", name="Cancel…").click()
    assert page.evaluate("document.activeElement.innerText") == "Keep as it is"
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel it").click()
    page.locator("h1", has_text="cancelled").wait_for()
    assert f"olga: cancel {operation_id} (draw)" in server.log


def test_a_webhook_is_sent_again(server, tab):
    """Its attempts and their reasons are on the operation's page, and grow after the click."""
    operation_id = submitted(server, "/pages/x", hook=NOWHERE)
    ended(server, operation_id)
    page = tab.go(f"operations/{operation_id}")
    webhooks = page.locator("section", has=page.get_by_role("heading", name="Webhooks"))
    # The second attempt comes by itself after seconds, the third after minutes.
    webhooks.get_by_text("2 attempts, last: unreachable").wait_for()
    assert NOWHERE in webhooks.inner_text()
    page.get_by_role("button", name="Redeliver operation.succeeded").click()
    webhooks.get_by_text("3 attempts, last: unreachable").wait_for()


def test_webhooks_are_found_tried_enabled_and_sent_again(server, tab):
    """Without a terminal: a disabled endpoint is enabled after a question, and its deliveries are looked at."""
    url = f"{NOWHERE_ELSE}/{fresh()}"
    disabled(server, url)
    operation_id = submitted(server, "/pages/x", hook=url)
    ended(server, operation_id)
    page = tab.go()
    page.get_by_role("navigation").get_by_role("link", name="Webhooks").click()
    page.get_by_role("button", name=f"Deliveries to {url}").click()
    assert "url=" in page.url
    log = page.locator("section", has=page.get_by_role("heading", name="Deliveries"))
    assert log.get_by_role("link", name=operation_id[-6:]).count() == 1
    log.get_by_text("paused", exact=True).last.wait_for()
    page.get_by_role("button", name=f"Enable {url}").click()
    page.get_by_role("button", name="Enable it").click()
    page.wait_for_selector("text=what was paused is sent.")
    log.get_by_text("1 attempt: unreachable").wait_for()
    log.get_by_role("button", name="Redeliver").click()
    log.get_by_text("2 attempts, last: unreachable").wait_for()
    log.get_by_role("button", name="delivered", exact=True).click()
    log.get_by_text("No delivery matches.").wait_for()
    page.get_by_role("button", name=f"Send a test to {CONFIGURED}").click()
    page.get_by_text("did not take it: unreachable").wait_for()


def test_all_that_match_are_cancelled_after_a_confirmation_that_counts_them(server, tab):
    """And the page says how many were."""
    mark = fresh()
    ids = [submitted(server, "/drawings", json={"signal": mark}, metadata=f'mark="{mark}"') for _ in range(3)]
    page = tab.go(f"operations?q=mark%3D{mark}")
    row(page, ids[0]).wait_for()
    page.get_by_role("button", name="Cancel all…").click()
    page.get_by_role("button", name="Cancel 3").click()
    page.wait_for_selector("text=3 cancelled.")
    for each in ids:
        assert ended(server, each)["status"] == "cancelled"


def test_cancelling_from_a_row_asks_which(server, tab):
    """Rows move while one aims, so the question names the operation."""
    mark = fresh()
    operation_id = submitted(server, "/drawings", json={"signal": mark}, metadata=f'mark="{mark}"')
    page = tab.go(f"operations?q=mark%3D{mark}")
    page.get_by_role("button", name=f"Cancel {operation_id}").click()
    page.get_by_role("heading", name=f"Cancel draw …{operation_id[-6:]}?").wait_for()
    page.get_by_role("button", name="Cancel 1", exact=True).click()
    assert ended(server, operation_id)["status"] == "cancelled"


def test_chosen_operations_are_retried(server, tab):
    """Only those that are selected, and that can be."""
    mark = fresh()
    ids = [submitted(server, "/refusals", metadata=f'mark="{mark}"') for _ in range(3)]
    for each in ids:
        ended(server, each)
    page = tab.go(f"operations?q=mark%3D{mark}")
    for each in ids[:2]:
        row(page, each).get_by_role("checkbox").check()
    page.get_by_role("button", name="Retry…").click()
    page.get_by_role("button", name="Retry 2").click()
    page.wait_for_selector("text=2 submitted again.")
    page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 5")


def test_a_form_made_of_the_document_submits(server, tab):
    """A field for each property and parameter, or the body as JSON; a mistake is shown where it is."""
    page = tab.go("run")
    page.locator("#route").select_option("POST /drawings")
    steps = page.get_by_role("spinbutton", name="steps")
    assert (steps.input_value(), steps.get_attribute("min"), steps.get_attribute("max")) == ("4", "1", "1000")
    steps.fill("3")
    page.get_by_role("checkbox", name="fails").check()
    page.get_by_role("textbox", name="signal").fill("x")
    page.get_by_role("button", name="JSON").click()
    body = page.get_by_label("Body")
    assert json.loads(body.input_value()) == {"steps": 3, "fails": True, "signal": "x"}
    page.get_by_role("button", name="Fields").click()
    page.get_by_role("checkbox", name="fails").uncheck()
    page.get_by_role("textbox", name="signal").fill("")
    steps.fill("")  # left out: the server's own default counts
    page.get_by_role("button", name="JSON").click()
    assert json.loads(body.input_value()) == {"fails": False, "signal": None}
    body.fill('{"steps": 4, "fails": false, "signal": null}')
    assert json.loads(body.input_value()) == {"steps": 4, "fails": False, "signal": None}
    body.fill('{"steps": 0}')
    page.get_by_role("button", name="Run").click()
    page.get_by_role("alert").filter(has_text="steps").wait_for()
    assert tab.complaints.pop().startswith("Failed to load resource")  # the 422, as browsers say it
    body.fill('{"steps": 2}')
    page.get_by_role("button", name="Run").click()
    page.get_by_role("heading", name="Result").wait_for()
    assert f"olga: run {page.url.rpartition('/')[2]} (draw)" in server.log
    page.goto(f"{BASE}/run?route=POST%20/pages/{{name}}")
    page.get_by_label("name").fill("x")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("heading", name="page").wait_for()


def test_who_may_look_sees_nothing_to_act_with(browser, server):
    """No buttons that would be refused."""
    operation_id = submitted(server, "/refusals")
    ended(server, operation_id)
    tab = Tab(browser, server, role="viewer")
    with contextlib.closing(tab):
        page = tab.go("operations")
        row(page, operation_id).wait_for()
        assert page.get_by_text("read only").is_visible()
        assert page.get_by_role("button", name=re.compile("Cancel|Retry|Delete")).count() == 0
        assert page.get_by_role("checkbox").count() == 0
        page = tab.go(f"operations/{operation_id}")
        page.get_by_role("button", name="Copy as curl").wait_for()
        assert page.get_by_role("button", name=re.compile("Cancel|Retry|Delete")).count() == 0
        page = tab.go("webhooks")
        page.get_by_role("heading", name="Deliveries").wait_for()
        assert page.get_by_role("button", name=re.compile("Enable|Send|Redeliver")).count() == 0


# --- who can use it -------------------------------------------------------------------------------------------


def test_a_tab_keeps_one_stream_open(server, tab):
    """However much is visited: browsers have six connections for all tabs of a server."""
    operation_id = submitted(server, "/drawings", json={"signal": fresh()})
    page = tab.go()
    for view in ("Operations", "Workers", "Webhooks", "Overview", "Operations"):
        page.get_by_role("navigation").get_by_role("link", name=view).click()
        page.get_by_role("heading", name=view, level=1).wait_for()
    row(page, operation_id).get_by_role("link").click()
    page.get_by_role("heading", name="draw").wait_for()
    page.wait_for_selector("text=Live")
    eventually(lambda: page.evaluate("1") and len(tab.open) == 1, "one stream alone", server)
    assert len([url for url in tab.asked if re.search(r"/events(\?|$)", url)]) >= 5


def test_the_page_goes_on_after_its_server_was_killed(browser, tmp_path):
    """It says that it reconnects, and shows what happened once the server is back."""
    server = Server(tmp_path, home=HERE)
    port = server.port
    tab = Tab(browser, server)
    try:
        with contextlib.closing(tab):
            page = tab.go("operations")
            page.wait_for_selector("text=Live")
            server.kill()
            server.start(port)
            operation_id = submitted(server, "/refusals")
            row(page, operation_id).wait_for(timeout=60_000)
            page.wait_for_selector("text=Live")
    finally:
        server.kill()
