"""STOP past the lease and CONT: a stale process writes nothing more, a machine that slept keeps its work."""

from __future__ import annotations

import time

import psutil
import pytest

from tests.chaos.driver import Scene, alive, until

pytestmark = pytest.mark.chaos
KINDS = ("async", "thread", "process")


def test_a_paused_process_loses_its_work_and_writes_nothing_afterwards(scene: Scene) -> None:
    """Another process takes over when the lease has run out; the stale one is fenced off and stops its work."""
    scene.settings["RAINCHECK_LEASE"] = "2s"
    stale = scene.start().ready()
    operations = [stale.submit(kind, steps=400, pause=0.2, emit=True) for kind in KINDS]
    begins = [scene.begun(operation_id) for operation_id in operations]
    other = scene.start().ready()
    stale.pause()
    paused_at = time.monotonic()
    seconds = [scene.begun(operation_id, run=2) for operation_id in operations]
    assert all(psutil.Process(second.pid).pid != first.pid for first, second in zip(begins, seconds, strict=True))
    assert max(second.at for second in seconds) - paused_at < 5 * 2.0

    stale.resume()
    child = begins[KINDS.index("process")].pid
    until(lambda: not alive(child), what="the end of the stale child")

    def stale_work() -> list[float]:
        return [effect.at for effect in scene.effects() if effect.run == 1]

    until(lambda: time.monotonic() - max(stale_work()) > 1.0, what="the end of the stale work")
    for operation_id in operations:
        stale.client.post(f"/operations/{operation_id}/cancel")
    scene.finished(operations, by=other)
    found = scene.read(operations)
    for operation, events in found.values():
        assert operation.status.value == "cancelled"
        versions = [event.version for event in events]
        assert versions == list(range(1, operation.version + 1))
        runs = [event.run for event in events if event.type.value != "done"]
        assert runs == sorted(runs), "a stale run wrote after its successor"
        assert operation.run == 2
        assert operation.attempt <= 1
    time.sleep(0.3)
    assert {each: pair[0] for each, pair in scene.read(operations).items()} == {
        each: pair[0] for each, pair in found.items()
    }


def test_a_single_process_paused_past_its_lease_goes_on_and_finishes_once(scene: Scene) -> None:
    """As when a machine sleeps: nobody else could have renewed, so the process keeps its work."""
    scene.settings["RAINCHECK_LEASE"] = "1s"
    server = scene.start().ready()
    operations = [server.submit(kind, steps=3, pause=0.4) for kind in KINDS]
    for operation_id in operations:
        scene.begun(operation_id)
    server.pause()
    time.sleep(2.2)
    server.resume()
    scene.finished(operations, by=server)
    found = scene.judge(operations)
    assert {operation.run for operation, _ in found.values()} == {1}
    assert sum(effect.phase == "end" for effect in scene.effects()) == len(operations)
