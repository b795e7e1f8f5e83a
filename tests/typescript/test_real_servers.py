"""The client, in Node and in Chromium, over cut streams and a server that is killed and started again."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.readers import chromium
from tests.readers.application import HOSTILE
from tests.readers.cutting import CuttingProxy
from tests.readers.serving import PATIENCE, Server, eventually
from tests.typescript.workspace import CLIENT, ROOT, compiled_client, run, tool

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(400)]
WAYS = ("log", "told", "sse", "long-poll", "poll")
REPLAYING = ("log", "told", "browser")  # from the first event, so that all of them are cut


def bundle(folder):
    """Bundle what a page evaluates, as a user's build does."""
    file = folder / "browser.js"
    options = ["--bundle", "--format=iife", "--global-name=raincheckTest", f"--outfile={file}"]
    said = run(tool("esbuild"), "test/browser.ts", *options, cwd=CLIENT)
    assert said.returncode == 0, said.stderr
    return file.read_text(encoding="utf-8")


def in_node(way, port, operation_id):
    """Read in a process of its own."""
    url = f"http://127.0.0.1:{port}"
    said = run("node", compiled_client() / "test" / "real.js", way, url, operation_id, f"node-{way}", cwd=CLIENT)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def in_chromium(script, port, operation_id):
    """Read in a page that the proxy serves."""
    with chromium.page(f"http://127.0.0.1:{port}/page") as opened:
        opened.add_script_tag(content=script)
        call = f"raincheckTest.log(location.origin, {operation_id!r}, 'node-browser')"
        return opened.evaluate(call)


@dataclass
class Story:
    """What all readers of one operation got, at the same time, over the same trouble."""

    log: list[Any] = field(default_factory=list)
    read: dict[str, Any] = field(default_factory=dict)
    cuts: dict[str, int] = field(default_factory=dict)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The bundle for Chromium."""
    if why := chromium.missing():
        pytest.skip(why)
    compiled_client()
    return bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Follow one operation in every way; kill the server once each stream has been cut, and start it again."""
    compiled_client()
    readers = {way: (in_node, way) for way in WAYS}
    if chromium.missing() is None:
        readers["browser"] = (in_chromium, bundle(tmp_path_factory.mktemp("bundle")))
    server = Server(tmp_path_factory.mktemp("server"))
    proxy = CuttingProxy(server.port)
    pool = ThreadPoolExecutor(len(readers))
    found = Story()
    try:
        operation_id = server.submit("/stories/told")
        reading = {name: pool.submit(read, how, proxy.port, operation_id) for name, (read, how) in readers.items()}
        server.await_signal("told.told-1")
        streams = [name for name in readers if name in REPLAYING]
        eventually(
            lambda: all(proxy.streams[f"node-{name}"] > 1 or reading[name].done() for name in streams),
            "a second stream of each reader",
            server,
        )
        server.kill()
        server.start()
        proxy.upstream = server.port
        server.await_signal("told.told-2")
        server.give("told")
        server.done(operation_id)
        wait(reading.values(), timeout=PATIENCE)
        found.log = [[identity, name, json.loads(data)] for identity, name, data in server.events(operation_id)]
        found.cuts = {name: proxy.cuts[f"node-{name}"] for name in readers}
        for name, future in reading.items():
            error = future.exception() if future.done() else TimeoutError(f"{name} still reads")
            found.read[name] = error or future.result()
        yield found
    finally:
        proxy.stop()
        server.kill()
        pool.shutdown(wait=False, cancel_futures=True)


def of(story, name):
    """Return what a reader got, or raise why it failed."""
    if name not in story.read:
        pytest.skip(chromium.missing() or "not read")
    if isinstance(story.read[name], BaseException):
        raise story.read[name]
    return story.read[name]


@pytest.mark.parametrize("name", ["log", "browser"])
def test_events_are_exactly_the_log(story, name):
    """Cut after every five events and over a kill -9: nothing twice, nothing missing, byte for byte."""
    assert of(story, name) == story.log
    assert story.cuts[name] >= len(story.log) // 5 - 1
    assert all(data["chunk"]["text"] == HOSTILE for _, kind, data in story.log if kind == "output")


def test_output_begins_anew_with_the_run_that_counts(story):
    """The killed run's chunks are superseded once; those of the second run are whole and in order."""
    found = of(story, "told")
    assert found["restarts"] == 1
    assert [(chunk["run"], chunk["number"]) for chunk in found["chunks"]] == [(2, number) for number in range(1, 14)]


@pytest.mark.parametrize("way", ["sse", "long-poll", "poll"])
def test_each_transport_alone_comes_to_the_result(story, way):
    """Over the kill -9 as well; the statuses on the way end with succeeded."""
    found = of(story, way)
    assert found["result"] == {"run": 2}
    assert found["statuses"][-1] == "succeeded"
    assert "running" in found["statuses"]


def test_the_wire_vectors_are_read_alike_in_chromium(script, tmp_path_factory):
    """The same vectors as in Node, with the browser's own fetch, streams and text decoder."""
    folder = ROOT / "tests" / "wire"
    vectors = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.json")}
    server = Server(tmp_path_factory.mktemp("vectors"))
    try:
        with chromium.page(f"http://127.0.0.1:{server.port}/page") as opened:
            opened.add_script_tag(content=script)
            found = opened.evaluate(f"raincheckTest.checkVectors({json.dumps(vectors)})")
    finally:
        server.kill()
    assert found["wrong"] == []
    assert found["checked"] > 150
