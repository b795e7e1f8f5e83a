"""KILL loses nothing: of a server, of one of several, of a child, of the fork server."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from raincheck.core.operation import Status
from tests.chaos.driver import LONG_BEFORE_THE_LEASE_ENDS, Scene, alive, until

pytestmark = pytest.mark.chaos
KINDS = ("async", "thread", "process")


def test_a_killed_server_resumes_everything_it_had_accepted(scene: Scene) -> None:
    """Work of all kinds, running and queued, goes on after a restart: same ids, attempt 1, one end each."""
    scene.settings["RAINCHECK_PROCESS_SLOTS"] = "2"
    server = scene.start().ready()
    running = [server.submit(kind, steps=4, linger=100, pause=0.25) for kind in KINDS]
    family = server.submit("family", linger=100, pause=1.0)
    queued = [server.submit("process", steps=1, pause=0.05, progress=True) for _ in range(3)]
    for operation_id in (*running, family):
        scene.begun(operation_id)
    until(lambda: any(effect.phase == "step0" for effect in scene.effects()), what="a first step")
    server.kill()
    until(lambda: not scene.living_pids(), what="the end of the killed server's children")

    again = scene.start().ready()
    ready_at = time.monotonic()
    accepted = [*running, family, *queued]
    assert max(scene.begun(each, run=2).at for each in (*running, family)) - ready_at < LONG_BEFORE_THE_LEASE_ENDS
    scene.finished(accepted, by=again)
    for operation_id, (operation, _) in scene.judge(accepted).items():
        assert operation.attempt == 1, operation_id
        assert operation.run == (2 if operation_id in {*running, family} else 1)
    assert {effect.attempt for effect in scene.effects()} == {1}


def test_a_second_process_takes_over_long_before_the_lease_ends(scene: Scene) -> None:
    """By the lock that frees at a death on one machine; within some leases where only they tell."""
    first, second = (scene.start() for _ in range(2))
    first.ready(), second.ready()
    operations = [first.submit(kind, steps=4, linger=100, pause=0.3) for kind in KINDS]
    begins = [scene.begun(operation_id) for operation_id in operations]
    owner = psutil.Process(begins[0].pid).pid
    victim, survivor = (first, second) if owner == first.pid else (second, first)
    killed_at = victim.kill()
    moved = [o for o, b in zip(operations, begins, strict=True) if not alive(b.pid)]
    assert moved
    took = [scene.begun(operation_id, run=2).at - killed_at for operation_id in moved]
    assert max(took) < scene.takeover, took
    scene.finished(operations, by=survivor)
    scene.judge(operations)


@pytest.mark.long
def test_a_killed_worker_of_a_multi_worker_server_loses_nothing(scene: Scene) -> None:
    """With ``--workers 2`` the other worker, or the one started again, finishes what the killed one ran."""
    server = scene.start("--workers", "2").ready()
    pids = until(lambda: serving(server.client, 2), what="two serving workers")
    operations = [server.submit("async", steps=3, linger=100, pause=0.3)]
    operations += [server.submit(kind, steps=3, pause=0.3) for kind in KINDS for _ in range(2)]
    victim = scene.begun(operations[0]).pid
    assert victim in pids
    os.kill(victim, signal.SIGKILL)
    until(lambda: not alive(victim), what="the death")
    until(lambda: serving(server.client, 1) - {victim}, what="an answer of a live worker")
    scene.finished(operations, by=server)
    found = scene.judge(operations)
    assert found[operations[0]][0].run == 2
    assert {operation.attempt for operation, _ in found.values()} == {1}


def serving(client, count):
    """Return the processes that answer, once there are enough of them."""
    import httpx2

    pids = set()
    for _ in range(20):
        try:
            pids.add(client.get("/alive", headers={"connection": "close"}).json())
        except httpx2.HTTPError:
            continue
    return pids if len(pids) >= count else set()


@pytest.mark.long
def test_a_killed_worker_program_hands_its_work_to_another(scene: Scene) -> None:
    """``raincheck worker`` beside a server that only accepts: killed, a second one takes over."""
    scene.settings["RAINCHECK_WORKERS"] = "false"
    server = scene.start()
    first = scene.start_worker()
    server.ready()
    operations = [server.submit(kind, steps=3, linger=100, pause=0.3) for kind in KINDS]
    for operation_id in operations:
        scene.begun(operation_id)
    second = scene.start_worker()
    first.kill()
    scene.finished(operations, by=server)
    assert {operation.run for operation, _ in scene.judge(operations).values()} == {2}
    assert second.terminate() < LONG_BEFORE_THE_LEASE_ENDS


def test_a_killed_child_harms_no_sibling(scene: Scene) -> None:
    """KILL of one operation's child, then of the fork server: it runs again, others do not notice."""
    scene.settings["RAINCHECK_PROCESS_SLOTS"] = "3"
    server = scene.start().ready()
    operations = [server.submit("process", steps=5, linger=100, pause=0.2) for _ in range(2)]
    bystander = server.submit("async", steps=5, pause=0.2)
    child, sibling = (scene.begun(operation_id) for operation_id in operations)
    os.kill(child.pid, signal.SIGKILL)
    scene.begun(operations[0], run=2)
    assert alive(sibling.pid)
    fork_server = psutil.Process(sibling.pid).parent()
    assert fork_server is not None
    assert fork_server.ppid() == server.pid
    fork_server.kill()
    for operation_id, run in zip(operations, (3, 2), strict=True):
        scene.begun(operation_id, run=run)
    assert not alive(sibling.pid)
    scene.finished([*operations, bystander], by=server)
    found = scene.judge([*operations, bystander])
    assert [found[each][0].run for each in operations] == [3, 2]
    assert found[bystander][0].run == 1
    assert {operation.attempt for operation, _ in found.values()} == {1}


def test_an_operation_that_kills_its_process_each_time_ends_as_worker_lost(scene: Scene) -> None:
    """A poison operation runs ``max_losses`` times, then fails; its siblings finish in their first run."""
    server = scene.start().ready()
    sibling = server.submit("process", steps=2, pause=0.2)
    poison = server.submit("poison")
    scene.finished([poison, sibling], by=server)
    scene.judge([sibling])
    operation, _ = scene.judge([poison], status=Status.FAILED)[poison]
    assert operation.error is not None
    assert operation.error.code == "worker-lost"
    assert operation.losses == operation.max_losses == 3
    assert sum(effect.phase == "begin" and effect.id == poison for effect in scene.effects()) == 3
    assert scene.read([sibling])[sibling][0].run == 1


def test_what_was_started_with_its_acceptance_survives_a_kill_right_after_the_202(scene: Scene) -> None:
    """The lease is committed with the operation, so the lock of the dead worker tells to run it again."""
    server = scene.start().ready()
    operations = [server.submit("async", steps=2, linger=100, pause=0.2)]
    server.kill()
    record, _ = scene.read(operations)[operations[0]]
    assert (record.status, record.version, record.run) == (Status.RUNNING, 2, 1)
    again = scene.start().ready()
    scene.finished(operations, by=again)
    assert scene.judge(operations)[operations[0]][0].run == 2
