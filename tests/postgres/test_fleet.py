"""Two machines on one database: one serves, the other works; each hears of the other at once."""

from __future__ import annotations

import contextlib
import json
import time

import pytest

from tests.chaos.driver import Scene, until

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
    with web.client.stream("GET", f"/operations/{operation}/events", headers={"Accept": "text/event-stream"}) as stream:
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


def test_a_database_that_restarts_loses_nothing_and_doubles_nothing(fleet, postgres_url, fragile):
    """Servers and workers outlive it: each accepted operation ends once."""
    fleet.settings["RAINCHECK_STORE"] = f"{fragile.url()}?schema=fleet"
    first, second = fleet.start().ready(), fleet.start().ready()
    accepted = [first.submit("async", steps=6, pause=0.2) for _ in range(10)]
    fleet.begun(accepted[0])
    for mode in ("immediate", "fast"):
        fragile.restart(mode)
        for server in (first, second):
            with contextlib.suppress(AssertionError):  # 503 is an honest answer; nothing was accepted then
                accepted.append(server.submit("async", steps=2, pause=0.05))
    fleet.finished(accepted, by=second, patience=60)
    fleet.judge(accepted)
