"""A tab that is left open for days: hundreds of views, cuts and events leave neither memory nor connections behind."""

from __future__ import annotations

import contextlib

import pytest

from tests.dashboard.conftest import HERE, ended, submitted
from tests.dashboard.gauge import Gauge
from tests.dashboard.tabs import BASE, Tab
from tests.readers.cutting import CuttingProxy
from tests.readers.serving import Server, eventually

pytestmark = [pytest.mark.long, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]
MOST_GROWTH = 1 << 20  # bytes; a view that stayed would be ten times that after these rounds

# Goes round all views as an operator does, and into the newest operation, until its log is there.
ROUND = """async (rounds) => {
  const there = async (condition) => {
    const until = performance.now() + 20000;
    while (!condition()) {
      if (performance.now() > until) throw new Error(`never: ${condition}`);
      await new Promise(requestAnimationFrame);
    }
  };
  for (let round = 0; round < rounds; round++) {
    for (const name of ['Overview', 'Workers', 'Webhooks', 'Run', 'Operations']) {
      [...document.querySelectorAll('nav a')].find((each) => each.innerText === name).click();
      await there(() => document.querySelector('h1')?.innerText === name);
      await there(() => document.querySelector('main .card'));
    }
    await there(() => document.querySelector('tbody a'));
    document.querySelector('tbody a').click();
    await there(() => document.querySelectorAll('.lines .line').length > 10);
  }
}"""


def inside(page, view):
    """Go to a view without loading the page again, as back and forward do."""
    page.evaluate(
        "address => { history.pushState(null, '', address); dispatchEvent(new PopStateEvent('popstate')) }",
        f"{BASE}/{view}",
    )


@pytest.fixture
def server(tmp_path):
    """A server of its own, so that its connections are this test's."""
    started = Server(tmp_path, home=HERE)
    yield started
    started.kill()


def test_hundreds_of_views_leave_nothing_behind(browser, server):
    """Each view closes its stream and lets go of what it showed."""
    ended(server, submitted(server, "/drawings", json={"steps": 200}))
    tab = Tab(browser, server)
    with contextlib.closing(tab):
        page = tab.go()
        gauge = Gauge(page)
        page.evaluate(ROUND, 10)  # what is made once
        first = gauge.look()
        page.evaluate(ROUND, 40)
        eventually(lambda: gauge.requests == 0, "the end of the last stream", server)  # the operation is done
        last = gauge.look()
        assert last.heap - first.heap < MOST_GROWTH, f"{first} became {last}"
        assert last.listeners <= first.listeners + 5, f"{first} became {last}"
        assert last.nodes <= first.nodes * 1.2, f"{first} became {last}"
        assert len([url for url in tab.asked if "/events" in url]) >= 50 * 4
    assert tab.complaints == []


def test_hundreds_of_cuts_leave_one_stream_and_the_whole_log(browser, server):
    """A stream that is cut after every five events: each event is shown once, and no connection stays."""
    proxy = CuttingProxy(server.port)
    tab = Tab(browser, server, port=proxy.port)
    try:
        with contextlib.closing(tab):
            operation_id = submitted(server, "/drawings", json={"steps": 250})
            ended(server, operation_id)
            page = tab.go()
            gauge = Gauge(page)
            first = gauge.look()
            inside(page, f"operations/{operation_id}")
            page.wait_for_function(
                "() => [...document.querySelectorAll('ol li b')].some((each) => each.innerText === 'succeeded')",
                timeout=120_000,
            )
            assert len([url for url in tab.asked if "/events" in url]) > 80
            shown = page.locator(".lines .line").all_inner_texts()
            numbers = [text for text in shown if '{"step":' in text]
            assert len(numbers) == len(set(numbers)) == 250
            eventually(lambda: gauge.requests == 0, "the end of the stream", server)
            inside(page, "")
            page.get_by_role("heading", name="Overview").wait_for()
            last = gauge.look()
            assert last.heap - first.heap < MOST_GROWTH, f"{first} became {last}"
    finally:
        proxy.stop()


def test_thousands_of_events_keep_a_bounded_page(browser, server):
    """The newest lines are shown, the others counted; whoever leaves the view gives their memory back."""
    tab = Tab(browser, server)
    with contextlib.closing(tab):
        page = tab.go("workers")
        gauge = Gauge(page)
        first = gauge.look()
        signal = "go-on"
        operation_id = submitted(server, "/drawings", json={"steps": 1000, "signal": signal})
        inside(page, f"operations/{operation_id}")
        page.wait_for_selector("text=999 of 1,000 steps")
        assert page.locator(".lines .line").count() <= 500
        page.get_by_text("earlier events are not shown").wait_for()
        eventually(lambda: gauge.requests == 1, "one stream and nothing else", server)
        server.give(signal)
        page.get_by_role("heading", name="Result").wait_for()
        # The log's beginning is not read; the record knows it.
        timeline = page.locator("section", has=page.get_by_role("heading", name="Timeline"))
        timeline.get_by_text("succeeded").wait_for()
        assert timeline.locator("li b").all_inner_texts() == ["queued", "running", "succeeded"]
        inside(page, "workers")
        page.get_by_role("heading", name="Workers").wait_for()
        last = gauge.look()
        assert last.heap - first.heap < 2 * MOST_GROWTH, f"{first} became {last}"
