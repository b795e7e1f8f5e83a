"""Output at speed: ordered, none lost, replayed over kill -9; progress floods nobody."""

from __future__ import annotations

import json
import os

import pytest

from tests.readers.serving import Server

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(180)]
EXECUTORS = ("async", "thread", "process")
CHUNKS = 6_000
PER_SECOND = 2_000
CALLS = 1_000_000 if os.environ.get("CHAOS_DEEP") else 200_000


@pytest.fixture
def server(tmp_path):
    """A server that may be killed."""
    started = Server(tmp_path)
    yield started
    started.kill()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A server that is left alone."""
    started = Server(tmp_path_factory.mktemp("emit"))
    yield started
    started.kill()


def chunks(log):
    """Return the run and the number of each chunk of a log."""
    data = [json.loads(data) for _, name, data in log if name == "output"]
    return [(each["run"], each["chunk"]["number"]) for each in data]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_two_thousand_chunks_a_second_are_ordered_and_whole(shared, executor):
    """Each chunk is there once, in order, while a reader follows live; the writer keeps up with the pace."""
    operation_id = shared.submit(f"/emit/{executor}/-?chunks={CHUNKS}&per_second={PER_SECOND}")
    live = shared.events(operation_id)
    done = shared.done(operation_id)
    assert chunks(live) == [(1, number) for number in range(CHUNKS)]
    assert live == shared.events(operation_id)
    assert [int(identity) for identity, _, _ in live] == list(range(1, len(live) + 1))
    assert done["version"] == len(live)
    emitting = done["result"]["seconds"]
    assert CHUNKS / emitting > PER_SECOND * 0.75, f"{CHUNKS / emitting:.0f} a second"


@pytest.mark.parametrize("executor", EXECUTORS)
def test_chunks_of_a_killed_run_stay_and_those_of_the_next_run_follow(server, executor):
    """What a reader has seen before kill -9 is in the replayed log, in its place, under the same ids."""
    operation_id = server.submit(f"/emit/{executor}/held?chunks=2000&per_second={PER_SECOND}")
    server.await_signal("held.halfway")
    seen = []
    with server.client.stream("GET", f"/operations/{operation_id}/events", params={"after": 0}) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                seen.append(line.removeprefix("data: "))
            if len(seen) == 500:
                break
    server.kill()
    server.start()
    server.give("held")
    assert server.done(operation_id)["result"]["run"] == 2
    log = server.events(operation_id)
    assert [data for _, _, data in log][: len(seen)] == seen
    found = chunks(log)
    first = [number for run, number in found if run == 1]
    assert first == list(range(len(first)))
    assert [number for run, number in found if run == 2] == list(range(2000))
    assert found == sorted(found)
    identities = [int(identity) for identity, _, _ in log]
    assert identities == sorted(set(identities))
    assert server.events(operation_id, after=identities[700]) == log[701:]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_progress_calls_without_end_flood_nobody(shared, executor):
    """At most ten versions a second, the last one with the end; the server's memory stays where it was."""
    before = shared.memory
    operation_id = shared.submit(f"/progress/{executor}?times={CALLS}")
    live = shared.events(operation_id)
    done = shared.done(operation_id)
    seconds = done["result"]["seconds"]
    assert done["progress"]["current"] == CALLS
    assert len([name for _, name, _ in live if name == "progress"]) <= 10 * seconds + 3
    assert done["version"] <= 10 * seconds + 8
    assert shared.memory - before < 64 << 20
