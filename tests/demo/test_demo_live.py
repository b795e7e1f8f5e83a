"""The demo's page and its copy-and-paste example follow operations live, in Chromium."""

import json

import httpx2
import pytest

from raincheck import OperationCancelled, OperationContext
from raincheck.demo import folders
from raincheck.demo.tale import Model, read_texts, tell
from tests.readers import chromium

TEXTS = ["The rain falls on the town. The town waits for the sun. The sun waits for nobody, and the rain goes on."]


async def test_a_tale_is_told_in_tokens(anyio_backend):
    """The chunks put together are the result, as long as asked, and the same for the same seed."""
    op = OperationContext()
    told = await tell(Model(TEXTS), 50, 7, op)
    assert "".join(op.recorder.outputs) == told
    assert len(op.recorder.outputs) == 50
    assert told == await tell(Model(TEXTS), 50, 7, OperationContext())
    assert told != await tell(Model(TEXTS), 50, 8, OperationContext())
    assert op.recorder.progresses[-1].fraction == 1


def test_the_model_says_only_what_it_has_read():
    """Each word follows the two before it somewhere in the texts."""
    words = TEXTS[0].replace(".", " .").replace(",", " ,").split()
    read = {tuple(words[place : place + 3]) for place in range(len(words) - 2)}
    tokens = Model(TEXTS).tokens(seed=3)
    found = [next(tokens) for _ in range(12)]
    joined = {tuple(found[place : place + 3]) for place in range(10)}
    assert len(joined & read) >= 5


async def test_a_tale_stops_when_it_is_cancelled(anyio_backend):
    """A cancel is obeyed long before the end."""
    op = OperationContext()
    op.request_cancel()
    with pytest.raises(OperationCancelled):
        await tell(Model(TEXTS), 10_000, 1, op)
    assert len(op.recorder.outputs) < 100


def test_the_texts_of_the_demo_are_enough_to_learn_from():
    """What the package says of itself, without fields and marks of code."""
    texts = read_texts(folders.HERE.parent)
    assert sum(map(len, texts)) > 50_000
    assert not any("``" in text or ":raises" in text for text in texts)


def test_tokens_arrive_as_events(shared_demo):
    """A submit that accepts an event stream reads the tale word by word, then done."""
    chunks = []
    with httpx2.Client(base_url=shared_demo.url, timeout=60, trust_env=False, verify=False) as client:
        order = {"words": 300, "seed": 5}
        with client.sse("/tales", method="POST", json=order, headers={"Accept": "text/event-stream"}) as source:
            for event in source:
                if event.event == "output":
                    chunks.append(event.json()["chunk"])
                if event.event == "done":
                    done = event.json()["resource"]
    assert len(chunks) == 300
    assert "".join(chunks) == done["result"]


@pytest.fixture(scope="module")
def opened(shared_demo):
    """Chromium on the demo."""
    if why := chromium.missing():
        pytest.skip(why)
    with chromium.page(shared_demo.url) as page:
        yield page


@pytest.mark.long
@pytest.mark.slow
def test_the_page_shows_rejected_rows_and_tokens_without_polling(shared_demo, opened):
    """Two operations with output of their own, one on the shared stream; each card gets to its end."""
    requests = []
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(shared_demo.url)
    for path in ("/imports", "/tales", "/forecasts"):
        opened.click(f'[data-path="{path}"]')
    opened.wait_for_function("document.querySelectorAll('.operation.succeeded').length === 3")
    texts = {card.query_selector("h2").inner_text(): card for card in opened.query_selector_all(".operation")}
    rows = texts["imports"].query_selector(".output").inner_text()
    assert rows.startswith("line ")
    assert rows.count("bad ") > 10
    assert len(texts["tales"].query_selector(".output").inner_text().split()) > 300
    assert not any("wait=" in url for url in requests)
    assert any("/operations/events?ids=" in url for url in requests)


@pytest.mark.long
@pytest.mark.slow
def test_a_page_that_is_opened_again_goes_on(shared_demo, opened):
    """Finished operations are shown from what the page remembers."""
    opened.goto(shared_demo.url)
    opened.click('[data-path="/tales"]')
    opened.wait_for_selector(".operation.succeeded")
    opened.reload()
    opened.wait_for_selector(".operation.succeeded")
    gone = "/operations/op_" + "0" * 32
    opened.evaluate(f"localStorage.setItem('operations', JSON.stringify([{json.dumps(gone)}]))")
    opened.reload()
    opened.wait_for_function("document.querySelectorAll('.operation').length === 0")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("way", ["stream", "socket"])
def test_the_example_in_one_file_works_as_it_is(shared_demo, opened, way):
    """A tale by EventSource and one by WebSocket, to the last word."""
    opened.goto(f"{shared_demo.url}/live")
    opened.click(f"#by-{way}")
    opened.wait_for_function(f"document.querySelector('#{way}-status').textContent === 'succeeded'")
    assert len(opened.inner_text(f"#{way}-text").split()) > 1_500
