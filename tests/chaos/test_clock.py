"""The wall clock jumps: by -2 h nothing stands still, by +3 d deadlines and retention pass, and no lease is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from raincheck.core.operation import Status
from tests.chaos.driver import Scene, until
from tests.chaos.shim import Shim

pytestmark = pytest.mark.chaos
HOURS = 3600
DAYS = 24 * HOURS
KINDS = ("async", "thread", "process")


@pytest.fixture
def shim(tmp_path: Path, scene: Scene) -> Shim:
    """Provide a clock that all servers of the scene share."""
    made = Shim(tmp_path)
    scene.settings |= made.variables()
    return made


def test_work_goes_on_when_the_clock_is_set_back(scene: Scene, shim: Shim) -> None:
    """Running, waiting and failed-once operations end in their runs, and so does what a killed server left behind."""
    scene.settings |= {"RAINCHECK_THREAD_SLOTS": "1", "RAINCHECK_LEASE": "2s"}
    server = scene.start().ready()
    running = [server.submit(kind, steps=4, pause=0.25) for kind in KINDS]
    waiting = [server.submit("thread", steps=1, pause=0.02) for _ in range(2)]
    retried = server.submit("retried")
    for operation_id in running:
        scene.begun(operation_id)
    until(lambda: server.get(retried)["attempt"] == 1, what="the first attempt")
    until(lambda: server.get(retried)["status"] == "queued", what="its failure")
    shim.move_clock(-2 * HOURS)
    later = server.submit("async", steps=1)
    accepted = [*running, *waiting, retried, later]
    scene.finished(accepted, by=server)
    assert {found[0].run for each, found in scene.judge(accepted).items() if each != retried} == {1}

    left = [server.submit(kind, steps=1, linger=100) for kind in KINDS]
    queued = server.submit("thread", steps=1)
    for operation_id in left:
        scene.begun(operation_id)
    shim.move_clock(-4 * HOURS)
    server.kill()
    again = scene.start().ready()
    scene.finished([*left, queued], by=again)
    assert {operation.attempt for operation, _ in scene.judge([*left, queued]).values()} == {1}


def test_deadlines_and_retention_pass_when_the_clock_is_set_forward(scene: Scene, shim: Shim) -> None:
    """Three days at once: no run is lost and nothing runs twice; what has an end in that time ends."""
    scene.settings["RAINCHECK_LEASE"] = "2s"
    server = scene.start().ready()
    forgotten = server.submit("brief")
    scene.finished([forgotten], by=server)
    running = [server.submit(kind, steps=4, pause=0.25) for kind in KINDS]
    limited = server.submit("async", headers={"Operation-Timeout": "1h"}, steps=40, pause=0.25)
    for operation_id in (*running, limited):
        scene.begun(operation_id)
    shim.move_clock(3 * DAYS)
    scene.finished([*running, limited], by=server)
    assert {operation.run for operation, _ in scene.judge(running).values()} == {1}
    operation, _ = scene.judge([limited], status=Status.FAILED)[limited]
    assert operation.error is not None
    assert operation.error.code == "deadline-exceeded"

    crashing = scene.start(module="tests.chaos.crashing", CHAOS_CRASH="prune.after")
    assert crashing.process.wait(15) == -9
    again = scene.start().ready()
    answer = until(
        lambda: (found := again.client.get(f"/operations/{forgotten}")).status_code == 410 and found,
        what="the end of the retention",
    )
    assert answer.json()["type"].endswith(":operation-expired")
    scene.judge(running)
