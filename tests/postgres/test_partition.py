"""A server and workers on machines of their own, one database, and a network that loses the holder of the work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.driver import Scene, Server, until
from tests.postgres.namespaces import Machine, NoNamespaces, machines
from tests.postgres.server import PostgresServer

LEASE = 1.5
PATIENCE = 60.0
LOSSES = ("switched_off", "unplugged", "unanswered")


@pytest.fixture(scope="module")
def network() -> Iterator[list[Machine]]:
    """Three machines, each linked to this one."""
    try:
        with machines(3) as made:
            yield made
    except NoNamespaces as error:
        pytest.skip(f"no network namespaces here: {error}")


@pytest.fixture(scope="module")
def database(network: list[Machine]) -> Iterator[PostgresServer]:
    """One database that all of them reach."""
    places = ",".join(["127.0.0.1", *(machine.here for machine in network)])
    server = PostgresServer(trusted=[machine.network for machine in network], listen_addresses=places)
    try:
        yield server
    finally:
        server.close()


def url_from(machine: Machine, database: PostgresServer) -> str:
    """Return the URL of the database as a machine sees it."""
    return f"{database.url().replace('127.0.0.1', machine.here)}?schema=partition"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, database: PostgresServer) -> Iterator[Scene]:
    """Programs that share the database alone."""
    made = Scene(
        Path(tmp_path_factory.mktemp("partition")),
        database_url=f"{database.url()}?schema=partition",
        settings={"RAINCHECK_LEASE": f"{LEASE}s"},
    )
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def web(scene: Scene, network: list[Machine], database: PostgresServer) -> Server:
    """A server on the first machine, which runs no work."""
    machine = network[0]
    settings = {"RAINCHECK_WORKERS": "false", "RAINCHECK_STORE": url_from(machine, database)}
    return scene.start(under=machine.under, host=machine.address, **settings).ready()


@pytest.fixture(scope="module")
def workers(
    scene: Scene, web: Server, network: list[Machine], database: PostgresServer
) -> list[tuple[Server, Machine]]:
    """A worker on each of the other two machines."""
    made = [
        (scene.start_worker(under=machine.under, RAINCHECK_STORE=url_from(machine, database)), machine)
        for machine in network[1:]
    ]
    for worker, _ in made:
        until(lambda log=worker.log: "working:" in log.read_text(), patience=PATIENCE, what="the start of a worker")
    return made


@pytest.mark.parametrize("loss", LOSSES)
def test_a_worker_behind_a_broken_link_is_replaced_and_what_it_writes_later_is_refused(
    loss: str, scene: Scene, web: Server, workers: list[tuple[Server, Machine]]
) -> None:
    """Past its lease the other machine runs the work; nothing is lost, it ends once, and the first works again."""
    operation = web.submit("async", steps=2, linger=1200, pause=0.05)
    pid = scene.begun(operation).pid
    [(lost, machine)] = [(worker, machine) for worker, machine in workers if worker.pid == pid]
    [other] = [worker for worker, _ in workers if worker is not lost]
    with getattr(machine, loss)():
        until(lambda: web.get(operation)["done"], patience=PATIENCE, what="the end of the work elsewhere")
        assert scene.begun(operation, run=2).pid == other.pid
        assert goes_on(scene, operation), "cut off from the database, the first run knows nothing of it"
    until(lambda: not goes_on(scene, operation), patience=PATIENCE, what="the end of the stale run")
    [(record, _)] = scene.judge([operation]).values()
    assert (record.run, record.attempt, record.losses) == (2, 1, 1)
    assert (operation, 1, "end") not in {(effect.id, effect.run, effect.phase) for effect in scene.effects()}
    other.pause()
    try:
        later = web.submit("async", steps=1, pause=0.01)
        scene.finished([later], by=web, patience=PATIENCE)
    finally:
        other.resume()
    assert scene.begun(later).pid == lost.pid


def goes_on(scene: Scene, operation: str) -> bool:
    """Tell whether the first run leaves side effects still."""

    def last() -> float:
        return max(effect.at for effect in scene.effects() if (effect.id, effect.run) == (operation, 1))

    seen = last()
    time.sleep(0.6)
    return last() > seen
