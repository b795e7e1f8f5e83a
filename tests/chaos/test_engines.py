"""Engines under fire: workers killed and paused, brokers flushed. Accepted is finished, with one end each.

``make test`` runs each test with one engine, ``make chaos`` with all of them, and in more rounds.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from raincheck.core.operation import Status
from tests.chaos.conftest import CHOSEN, DEEP
from tests.chaos.driver import Scene, Server
from tests.engines.backends import BACKENDS, Place

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
KINDS = ("async", "thread", "process")
TOLD_AGAIN = 60.0  # seconds: ten until the first message is sent again, twenty until the second


@dataclass
class Battle:
    """A scene with an engine, and how to make that forget all its messages."""

    scene: Scene
    flush: Callable[[], None]

    def server(self) -> Server:
        """Start a server that runs no work."""
        return self.scene.start(RAINCHECK_WORKERS="false").ready()

    def submit(self, server: Server, number: int, *, steps: int = 3) -> list[str]:
        """Submit work of every executor."""
        kinds = itertools.islice(itertools.cycle(KINDS), number)
        return [server.submit(kind, steps=steps, pause=0.2) for kind in kinds]


def only(*some: str) -> pytest.MarkDecorator:
    """Run a test on these backends, in the deep form on all of them, or on the one that is chosen."""
    engines = [name for name in BACKENDS if not name.endswith("embedded")]
    return pytest.mark.parametrize("backend", [CHOSEN] if CHOSEN in engines else engines if DEEP else some)


@pytest.fixture
def battle(backend: str, tmp_path: Path, place: Callable[[str], Place]) -> Iterator[Battle]:
    """Provide a store and an engine, which tells again of a lost message as late as in production."""
    scene, made = Scene(tmp_path, settings={"RAINCHECK_LEASE": "3s"}), place(backend)
    scene.settle_at(made)
    try:
        yield Battle(scene, made.flush)
    finally:
        scene.close()


@only("postgresql+taskiq-redis")
def test_killed_workers_and_a_flushed_broker_lose_nothing(battle: Battle) -> None:
    """Workers die in mid-run, the engine forgets its messages: what was accepted ends once, in order."""
    chance = random.Random(7)
    scene, server = battle.scene, battle.server()
    workers = [scene.start_worker() for _ in range(2)]
    accepted: list[str] = []
    for _ in range(5 if DEEP else 1):
        operations = battle.submit(server, 12)
        accepted += operations
        scene.begun(operations[0])
        victim = workers.pop(chance.randrange(2))
        victim.kill()
        accepted += battle.submit(server, 6)
        battle.flush()
        workers.append(scene.start_worker())
    scene.finished(accepted, by=server, patience=2 * TOLD_AGAIN)
    found = scene.judge(accepted)
    assert {operation.attempt for operation, _ in found.values()} == {1}


@pytest.mark.long
@only("postgresql+taskiq-redis")
def test_a_paused_worker_loses_its_work_and_writes_nothing_afterwards(battle: Battle) -> None:
    """Another worker gets it through the engine; what the stale one still does to its messages harms nobody."""
    scene, server = battle.scene, battle.server()
    stale = scene.start_worker()
    for _ in range(4 if DEEP else 1):
        operations = battle.submit(server, 6, steps=10)
        for operation_id in operations[:4]:
            scene.begun(operation_id)
        stale.pause()
        other = scene.start_worker()
        more = battle.submit(server, 3)
        scene.finished([*operations, *more], by=server, patience=2 * TOLD_AGAIN)
        stale.resume()
        last = battle.submit(server, 3)
        scene.finished(last, by=server, patience=2 * TOLD_AGAIN)
        found = scene.judge([*operations, *more, *last])
        assert max(operation.run for operation, _ in found.values()) == 2, "the pause came too late to take work away"
        other.terminate()


@only("sqlite+taskiq-nats")
def test_a_server_killed_after_its_commits_leaves_no_operation_behind(battle: Battle) -> None:
    """Whatever it had not told the engine yet is told by another process."""
    scene = battle.scene
    first = battle.server()
    accepted = battle.submit(first, 6)
    first.kill()
    battle.flush()
    second = battle.server()
    scene.start_worker()
    scene.finished(accepted, by=second, patience=TOLD_AGAIN)
    found = scene.judge(accepted)
    assert {(operation.run, operation.status) for operation, _ in found.values()} == {(1, Status.SUCCEEDED)}
