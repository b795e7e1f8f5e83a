"""Seeded outages: clients submit all the time while the database is stopped as by a crash, also while it recovers."""

from __future__ import annotations

import contextlib
import random
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.clients import Client
from tests.chaos.driver import Scene, Server, until

if TYPE_CHECKING:
    from tests.postgres.server import PostgresServer

LEASE = 3.0
PACE = 0.01, 0.06  # seconds between two submits of a client


@dataclass(frozen=True, slots=True)
class Report:
    """What a time of outages did and found."""

    stops: int
    in_recovery: int
    accepted: int
    in_the_dark: int
    refused: int
    reruns: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.stops} immediate stops in {self.seconds:.0f} s, {self.in_recovery} of them during recovery: "
            f"{self.accepted} accepted = finished, one end each; {self.in_the_dark} unanswered and settled by key, "
            f"{self.refused} refused, {self.reruns} ran again"
        )


def outages(
    scene: Scene, database: PostgresServer, *, seed: int, operations: int, stops: int, apart: tuple[float, float]
) -> Report:
    """Stop the database again and again under submits and running work; then check every promise.

    :param operations: how many are accepted at least.
    :param apart: seconds between two stops.
    """
    scene.settings |= {"RAINCHECK_LEASE": f"{LEASE}s", "RAINCHECK_MAX_QUEUED": "1000000"}
    chance, began = random.Random(seed), time.monotonic()
    servers = [scene.start().ready() for _ in range(2)]
    crowd = [Client(number, random.Random(seed * 100 + number), followed=0.0) for number in range(6)]
    ending = threading.Event()
    threads = [threading.Thread(target=_submit, args=(each, servers, ending), daemon=True) for each in crowd]
    for thread in threads:
        thread.start()

    def accepted() -> int:
        return sum(len(client.accepted) for client in crowd)

    stopped = in_recovery = 0
    while stopped < stops or accepted() < operations:
        time.sleep(chance.uniform(*apart))
        database.stop("immediate")
        stopped += 1
        if chance.random() < 0.4:
            stopped, in_recovery = stopped + 1, in_recovery + _stopped_again(database, chance.uniform(0.0, 0.3))
        time.sleep(chance.uniform(0.0, 1.0))
        database.start()
    ending.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a client hangs"
    for server in servers:
        until(lambda server=server: _accepts(server), patience=60, what="the recovery of a server")

    for client in crowd:
        client.settle(servers[0])
    ids = [operation_id for client in crowd for operation_id in client.accepted.values()]
    assert len(ids) == len(set(ids))
    scene.finished(ids, by=servers[0], patience=300)
    found = scene.judge(ids)
    assert {operation.attempt for operation, _ in found.values()} <= {1}
    assert scene.everything() == set(ids), "an operation exists that no client asked for"
    return Report(
        stops=stopped,
        in_recovery=in_recovery,
        accepted=len(ids),
        in_the_dark=sum(len(client.dark) for client in crowd),
        refused=sum(client.refused for client in crowd),
        reruns=sum(operation.run > 1 for operation, _ in found.values()),
        seconds=time.monotonic() - began,
    )


def _submit(client: Client, servers: list[Server], ending: threading.Event) -> None:
    count = 0
    while not ending.wait(client.random.uniform(*PACE)):
        target = servers[client.random.randrange(len(servers))]
        client.submit(target, count)
        count += 1


def _stopped_again(database: PostgresServer, pause: float) -> int:
    """Start the database and stop it before it is ready, if this is quick enough; return how often that was so."""
    before = database.log.read_text().count("ready to accept connections")
    database.start(wait=False)
    time.sleep(pause)
    # It may not have come far enough yet to be stopped by its lock file.
    until(lambda: _stopped(database), what="the second stop")
    return int(database.log.read_text().count("ready to accept connections") == before)


def _stopped(database: PostgresServer) -> bool:
    with contextlib.suppress(subprocess.CalledProcessError):
        database.stop("immediate")
        return True
    return False


def _accepts(server: Server) -> bool:
    """Tell whether the server reads the store again."""
    return server.client.get("/operations/op_" + "0" * 32).status_code == 404
