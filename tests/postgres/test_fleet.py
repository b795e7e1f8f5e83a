"""Two machines on one database: one serves, the other works; each hears of the other at once."""

from __future__ import annotations

import json
import time

import pytest

from tests.chaos.driver import Scene, until
from tests.postgres.outages import outages
from tests.postgres.proxy import Network

LEASE = 2.0
SLOWLY = 60.0  # seconds between two looks without a signal, and between two renewals
AT_ONCE = 15.0  # on a machine that has other things to do too


@pytest.fixture
def fleet(postgres_url, tmp_path):
    """Programs that share nothing but the database."""
    scene = Scene(tmp_path, settings={"RAINCHECK_STORE": postgres_url, "RAINCHECK_LEASE": f"{LEASE}s"})
    try:
        yield scene
    finally:
        scene.close()


def test_an_event_of_a_worker_elsewhere_reaches_a_reader_at_once(fleet):
    """A stream, a long poll and a poll on the web node tell what the worker node does, with no slow poll between."""
    fleet.settings |= {"RAINCHECK_WORKERS": "false", "CHAOS_POLL": str(SLOWLY)}
    web = fleet.start().ready()
    fleet.start_worker()
    warm = web.submit("async", steps=1, pause=0.01)
    fleet.finished([warm], by=web)

    began = time.monotonic()
    operation = web.submit("async", steps=3, pause=0.05)
    events = []
    with web.client.stream("GET", f"/operations/{operation}/events", headers={"Last-Event-ID": "0"}) as stream:
        for line in stream.iter_lines():
            if line.startswith("data:"):
                events.append(json.loads(line.removeprefix("data:")))
                if events[-1]["type"] == "done":
                    break
    took = time.monotonic() - began
    assert [event["chunk"]["step"] for event in events if event["type"] == "output"] == [0, 1, 2]
    assert took < AT_ONCE

    began = time.monotonic()
    answer = web.client.post("/async", json={"steps": 1, "pause": 0.01}, headers={"Prefer": "wait=10"})
    assert answer.status_code == 200, answer.text
    assert time.monotonic() - began < AT_ONCE
    fleet.judge([operation])


def test_a_killed_worker_is_replaced_within_two_leases(fleet):
    """Nobody sees that a process on another machine died; its lease runs out."""
    first, second = fleet.start().ready(), fleet.start().ready()
    operations = [first.submit(kind, steps=8, pause=0.25) for kind in ("async", "thread", "process")]
    holder = {fleet.begun(operation).pid for operation in operations[:2]}
    victim, survivor = (first, second) if first.pid in holder else (second, first)
    killed_at = victim.kill()
    for operation in operations:
        until(lambda operation=operation: survivor.get(operation)["done"], patience=20, what="the end")
    found = fleet.judge(operations)
    moved = [operation for operation, _ in found.values() if operation.run > 1]
    assert moved
    for operation in moved:
        assert fleet.begun(operation.id, run=2).at - killed_at <= 2 * LEASE
        assert operation.attempt == 1


def test_a_cancel_on_one_machine_stops_the_work_on_another(fleet):
    """At once, not when the lease is renewed."""
    fleet.settings |= {"RAINCHECK_WORKERS": "false", "CHAOS_POLL": str(SLOWLY), "RAINCHECK_LEASE": f"{3 * SLOWLY}s"}
    web = fleet.start().ready()
    fleet.start_worker()
    operation = web.submit("async", steps=1000, pause=0.05)
    fleet.begun(operation)
    began = time.monotonic()
    assert web.client.post(f"/operations/{operation}/cancel").status_code in {200, 202}
    until(lambda: web.get(operation)["done"], what="the end")
    assert time.monotonic() - began < AT_ONCE
    assert web.get(operation)["status"] == "cancelled"


def test_a_stream_goes_on_after_an_outage(fleet, fragile):
    """From its cursor, on the same connection or on another: each chunk once, in order, and one end."""
    fleet.settings["RAINCHECK_STORE"] = f"{fragile.url()}?schema=streams"
    server = fleet.start().ready()
    operation = server.submit("async", steps=12, pause=0.2)
    seen, cursor, stopped = [], "0", False
    while not (seen and seen[-1]["type"] == "done"):
        path = f"/operations/{operation}/events"
        with server.client.stream("GET", path, headers={"Last-Event-ID": cursor}) as stream:
            if stream.status_code == 503:
                continue
            assert stream.status_code == 200
            for line in stream.iter_lines():
                if line.startswith("id:"):
                    cursor = line.removeprefix("id:").strip()
                if line.startswith("data:"):
                    seen.append(json.loads(line.removeprefix("data:")))
                if len(seen) > 3 and not stopped:
                    stopped = True
                    fragile.restart("immediate")
    chunks = [event["chunk"]["step"] for event in seen if event["type"] == "output"]
    assert chunks == list(range(12))
    assert [event["version"] for event in seen] == sorted({event["version"] for event in seen})
    fleet.judge([operation])


def test_a_worker_that_is_cut_off_loses_its_work_and_writes_nothing_more(fleet, postgres, postgres_url):
    """Its lease runs out and another runs the work; back on the network it drops what it ran, and takes new work."""
    network = Network(postgres.port)
    try:
        fleet.settings["RAINCHECK_WORKERS"] = "false"
        web = fleet.start().ready()
        lost = fleet.start_worker(RAINCHECK_STORE=network.url(postgres_url, postgres.port))
        operations = [web.submit(kind, steps=2, linger=200, pause=0.1) for kind in ("async", "thread", "process")]
        for operation in operations:
            fleet.begun(operation)
        other = fleet.start_worker()
        until(lambda: "working:" in other.log.read_text(), what="the second worker")
        cut_at = time.monotonic()
        network.sever()
        assert max(fleet.begun(operation, run=2).at for operation in operations) - cut_at <= 2 * LEASE + 1.0
        fleet.finished(operations, by=web)
        network.mend()
        until(lambda: quiet(fleet), what="the end of the stale work")
        found = fleet.judge(operations)
        assert {(operation.run, operation.attempt, operation.losses) for operation, _ in found.values()} == {(2, 1, 1)}
        other.terminate()
        later = web.submit("async", steps=1, pause=0.01)
        fleet.finished([later], by=web)
        assert fleet.begun(later).pid == lost.pid
    finally:
        network.close()


def quiet(fleet):
    """Tell whether the first runs have left no side effect for a second."""
    return time.monotonic() - max(effect.at for effect in fleet.effects() if effect.run == 1) > 1.0


def test_two_reapers_at_once_end_each_lost_lease_once(fleet):
    """Both see the same expired leases; each operation is lost once, and runs once more."""
    fleet.settings |= {"RAINCHECK_THREAD_SLOTS": "40", "RAINCHECK_ASYNC_SLOTS": "40"}
    victim = fleet.start().ready()
    operations = [victim.submit("async", steps=1, linger=500, pause=0.1, emit=False) for _ in range(40)]
    for operation in operations:
        fleet.begun(operation)
    survivors = [fleet.start().ready() for _ in range(2)]
    victim.kill()
    fleet.finished(operations, by=survivors[0])
    found = fleet.judge(operations)
    assert {(operation.run, operation.losses) for operation, _ in found.values()} == {(2, 1)}


def test_a_database_that_dies_every_few_seconds_loses_nothing_and_doubles_nothing(fleet, fragile):
    """Also while it recovers: what was accepted has ended, once each, and nothing else is there.

    ``python -m tests.chaos --stops 30 --operations 5000`` makes minutes of it.
    """
    fleet.settings["RAINCHECK_STORE"] = f"{fragile.url()}?schema=outages"
    report = outages(fleet, fragile, seed=2, operations=50, stops=3, apart=(0.5, 2.0))
    assert report.accepted >= 50
    assert report.stops >= 3
