"""What a browser's six connections mean for readers of many operations (HTTP/1.1)."""

from __future__ import annotations

import pytest

from tests.readers import chromium
from tests.readers.serving import Server

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(180)]
READERS = 8
# True when an ordinary request is answered while the streams are open, false when it waits for a connection.
ANSWERED = """async (urls) => {
  const sources = urls.map((url) => new EventSource(url));
  const told = (source) => new Promise((resolve) => source.addEventListener("snapshot", resolve, { once: true }));
  await Promise.all(sources.slice(0, 6).map(told));
  const giving_up = new AbortController();
  const timer = setTimeout(() => giving_up.abort(), 3000);
  try { return (await fetch(`/ping?${Math.random()}`, { signal: giving_up.signal })).ok; }
  catch { return false; }
  finally { clearTimeout(timer); sources.forEach((source) => source.close()); }
}"""
# The operations that one multiplexed EventSource tells of.
TOLD = """(url) => new Promise((resolve) => {
  const done = [], source = new EventSource(url);
  source.addEventListener("done", (event) => done.push(JSON.parse(event.data).operation));
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) resolve(done); };
})"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with nothing in front of it."""
    started = Server(tmp_path_factory.mktemp("tabs"))
    yield started
    started.kill()


@pytest.fixture(scope="module")
def page(server):
    """A page of that server in Chromium."""
    if why := chromium.missing():
        pytest.skip(why)
    with chromium.page(f"http://127.0.0.1:{server.port}/page") as opened:
        yield opened


def test_eight_event_sources_block_a_page_and_one_for_eight_operations_does_not(server, page):
    """Six streams take all connections of a page, so an ordinary request waits; the multiplexed one leaves five."""
    ids = [server.submit("/stories/held") for _ in range(READERS)]
    assert page.evaluate(ANSWERED, [f"/operations/{each}/events" for each in ids]) is False
    assert page.evaluate(ANSWERED, [f"/operations/events?ids={','.join(ids)}"]) is True


def test_the_one_event_source_sees_all_eight_done_and_is_stopped(server, page):
    """Each operation's done arrives once, and the 204 at the end stops the browser's reconnecting."""
    ids = [server.submit("/stories/ended") for _ in range(READERS)]
    server.give("ended")
    assert sorted(page.evaluate(TOLD, f"/operations/events?ids={','.join(ids)}")) == sorted(ids)
