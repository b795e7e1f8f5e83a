"""TERM: what can finish finishes, the rest is handed back uncounted, nothing holds up the exit."""

from __future__ import annotations

import threading
import time

import pytest

from tests.chaos.driver import LONG_BEFORE_THE_LEASE_ENDS, PATIENCE, Scene

pytestmark = pytest.mark.chaos


def test_short_work_finishes_within_the_grace_and_long_work_is_handed_back(scene: Scene) -> None:
    """After a drain the short operations are done in run 1, the long ones wait with their attempt uncounted."""
    scene.settings["RAINCHECK_DRAIN"] = "1.5s"
    server = scene.start().ready()
    short = [server.submit(kind, steps=2, pause=0.4) for kind in ("async", "thread", "process")]
    long = [server.submit(kind, steps=1, linger=50, pause=0.4) for kind in ("async", "process")]
    for operation_id in (*short, *long):
        scene.begun(operation_id)
    waited: list[float] = []

    def wait_long() -> None:
        began = time.monotonic()
        answer = server.client.get(f"/operations/{long[0]}", params={"wait": 30})
        assert answer.json()["status"] == "running"
        waited.append(time.monotonic() - began)

    poller = threading.Thread(target=wait_long)
    poller.start()
    time.sleep(0.2)
    assert server.terminate() < LONG_BEFORE_THE_LEASE_ENDS
    poller.join(PATIENCE)
    assert waited, "the long-poll got no answer"
    assert waited[0] < LONG_BEFORE_THE_LEASE_ENDS
    assert not scene.living_pids()
    scene.judge(short)
    for operation, _ in scene.read(long).values():
        assert (operation.status.value, operation.attempt, operation.losses) == ("queued", 0, 0)

    again = scene.start().ready()
    scene.finished(long, by=again)
    for operation, _ in scene.judge(long).values():
        assert (operation.run, operation.attempt) == (2, 1)


def test_a_thread_that_never_ends_does_not_hold_up_the_exit(scene: Scene) -> None:
    """Its lease stays with the process and ends with it; another process runs the operation again."""
    scene.settings["RAINCHECK_DRAIN"] = "0.5s"
    server = scene.start().ready()
    endless = server.submit("endless")
    scene.begun(endless)
    assert server.terminate() < LONG_BEFORE_THE_LEASE_ENDS
    again = scene.start().ready()
    ready_at = time.monotonic()
    assert scene.begun(endless, run=2).at - ready_at < LONG_BEFORE_THE_LEASE_ENDS
    scene.finished([endless], by=again)
    operation, _ = scene.judge([endless])[endless]
    assert (operation.run, operation.attempt) == (2, 1)


def test_a_drained_process_hands_its_work_to_a_living_one(scene: Scene) -> None:
    """Rolling restart: with no grace the work goes on elsewhere, well before a lease would end."""
    scene.settings["RAINCHECK_DRAIN"] = "0s"
    leaving = scene.start().ready()
    operations = [leaving.submit(kind, steps=1, linger=200, pause=0.2) for kind in ("async", "process")]
    for operation_id in operations:
        scene.begun(operation_id)
    staying = scene.start().ready()
    began = time.monotonic()
    leaving.terminate()
    assert max(scene.begun(operation_id, run=2).at for operation_id in operations) - began < LONG_BEFORE_THE_LEASE_ENDS
    scene.finished(operations, by=staying)
    for operation, _ in scene.judge(operations).values():
        assert (operation.run, operation.attempt, operation.losses) == (2, 1, 0)
