"""Seeded storms: clients submit all the time while processes are killed, ended and paused at random moments."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx2

from tests.chaos.driver import Effect, Scene, Server

KINDS = ("async", "thread", "process")
LEASE = 1.0
BLOWS = ("kill", "kill", "kill", "term", "int", "pause")


@dataclass(eq=False)
class Client:
    """One client's submits: what it was told, and what it was left in the dark about."""

    number: int
    random: random.Random
    accepted: dict[str, str] = field(default_factory=dict)
    dark: dict[str, tuple[str, dict[str, object]]] = field(default_factory=dict)
    refused: int = 0

    def submit(self, base: str, count: int) -> str | None:
        """Submit once; return the id if the answer arrived."""
        key = f"client-{self.number}-{count}"
        kind = self.random.choice(KINDS)
        pause = self.random.choice([0.02, 0.02, 0.3])
        order: dict[str, object] = {"steps": self.random.randint(1, 3), "pause": pause, "payload": key}
        order["progress"] = self.random.random() < 0.5
        try:
            answer = httpx2.post(
                f"{base}/{kind}", json=order, headers={"Idempotency-Key": key}, timeout=8, trust_env=False
            )
        except httpx2.HTTPError:
            self.dark[key] = (kind, order)
            return None
        if answer.status_code == 202:
            self.accepted[key] = answer.json()["id"]
            return self.accepted[key]
        if answer.status_code == 503 and "is not known" in answer.text:
            self.dark[key] = (kind, order)
            return None
        assert answer.status_code in {429, 503, 507}, f"{answer.status_code} {answer.text}"
        self.refused += 1
        return None


@dataclass(frozen=True, slots=True)
class Report:
    """What a storm did and found."""

    blows: dict[str, int]
    accepted: int
    in_the_dark: int
    reruns: int
    takeovers: tuple[float, ...]


def storm(scene: Scene, *, seed: int, blows: int, clients: int = 3, kinds: tuple[str, ...] = BLOWS) -> Report:
    """Strike one of two servers again and again under submits; then check every promise.

    ``kill`` is SIGKILL, ``term`` and ``int`` end in order, ``pause`` is SIGSTOP past the lease, then SIGCONT.
    """
    scene.settings |= {"RAINCHECK_LEASE": f"{LEASE}s", "RAINCHECK_DRAIN": "0.3s"}
    chance = random.Random(seed)
    servers: list[Server] = [scene.start().ready() for _ in range(2)]
    ending = threading.Event()
    crowd = [Client(number, random.Random(seed * 100 + number)) for number in range(clients)]

    def work(client: Client) -> None:
        count = 0
        while not ending.wait(client.random.uniform(0.01, 0.08)):
            target = servers[client.random.randrange(2)]
            client.submit(str(target.client.base_url).rstrip("/"), count)
            count += 1

    threads = [threading.Thread(target=work, args=(client,), daemon=True) for client in crowd]
    for thread in threads:
        thread.start()
    killed: list[tuple[int, float]] = []
    struck: Counter[str] = Counter()
    for _ in range(blows):
        time.sleep(chance.uniform(0.1, 0.9))
        index = chance.randrange(2)
        blow = chance.choice(kinds)
        struck[blow] += 1
        at = strike(servers[index], blow, LEASE * chance.uniform(1.5, 3.0))
        if blow == "kill":
            killed.append((servers[index].pid, at))
        if blow != "pause":
            servers[index] = scene.start().ready()
    ending.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "a client hangs"

    for client in crowd:
        settle(client, servers[0])
    ids = [operation_id for client in crowd for operation_id in client.accepted.values()]
    assert len(ids) == len(set(ids))
    scene.finished(ids, by=servers[0], patience=60)
    found = scene.judge(ids)
    assert {operation.attempt for operation, _ in found.values()} <= {1}
    assert scene.everything() == set(ids), "an operation exists that no client asked for"
    return Report(
        blows=dict(struck),
        accepted=len(ids),
        in_the_dark=sum(len(client.dark) for client in crowd),
        reruns=sum(operation.run > 1 for operation, _ in found.values()),
        takeovers=tuple(takeovers(scene, killed)),
    )


def settle(client: Client, server: Server) -> None:
    """Repeat what got no answer, twice: there is one operation for each key."""
    for key, (kind, order) in client.dark.items():
        ids = set()
        for _ in range(2):
            answer = server.client.post(f"/{kind}", json=order, headers={"Idempotency-Key": key})
            assert answer.status_code == 202, answer.text
            ids.add(answer.json()["id"])
        assert len(ids) == 1
        client.accepted[key] = ids.pop()


def strike(server: Server, blow: str, pause: float) -> float:
    """Strike once; return when, on the monotonic clock. Only a paused server lives on."""
    at = time.monotonic()
    match blow:
        case "kill":
            return server.kill()
        case "pause":
            server.pause()
            time.sleep(pause)
            server.resume()
        case _:
            server.process.send_signal(signal.SIGTERM if blow == "term" else signal.SIGINT)
            server.process.wait(10)
    return at


def takeovers(scene: Scene, killed: list[tuple[int, float]]) -> list[float]:
    """Return the seconds from each KILL to the next run's first side effect, for each operation it interrupted."""
    last: dict[tuple[str, int], Effect] = {}
    first: dict[tuple[str, int], float] = {}
    for effect in scene.effects():
        last[effect.id, effect.run] = effect
        first.setdefault((effect.id, effect.run), effect.at)
    took = []
    for pid, at in killed:
        for (operation_id, run), effect in last.items():
            if effect.pid == pid and effect.phase != "end" and (operation_id, run + 1) in first:
                took.append(first[operation_id, run + 1] - at)
    return took
