"""Clients in a storm: they submit all the time, follow some of their operations, and know what they were told."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx2

from tests.chaos.driver import Server
from tests.chaos.readers import Reader

KINDS = ("async", "thread", "process")
_FOLLOWED = 0.3


@dataclass(eq=False)
class Client:
    """One client's submits: what it was told, what it saw, and what it was left in the dark about.

    :param followed: the share of operations whose events it follows.
    """

    number: int
    random: random.Random
    followed: float = _FOLLOWED
    accepted: dict[str, str] = field(default_factory=dict)
    dark: dict[str, tuple[str, dict[str, object]]] = field(default_factory=dict)
    readers: list[Reader] = field(default_factory=list)
    refused: int = 0

    def work(self, servers: Callable[[], list[Server]], ending: threading.Event) -> None:
        """Submit to one server or another until the storm ends."""
        count = 0
        while not ending.wait(self.random.uniform(0.05, 0.3)):
            self.submit(self.random.choice(servers()), count)
            count += 1

    def submit(self, server: Server, count: int) -> None:
        """Submit once."""
        key = f"client-{self.number}-{count}"
        kind = self.random.choice(KINDS)
        pause = self.random.choice([0.02, 0.1, 0.4])
        order: dict[str, object] = {"steps": self.random.randint(1, 4), "pause": pause, "payload": key}
        order["progress"] = self.random.random() < 0.5
        try:
            # A client of its own: a connection that is kept would be broken by the former blow.
            answer = httpx2.post(
                f"{str(server.client.base_url).rstrip('/')}/{kind}",
                json=order,
                headers={"Idempotency-Key": key},
                timeout=8,
                trust_env=False,
            )
        except httpx2.HTTPError:
            self.dark[key] = (kind, order)
            return
        if answer.status_code == 202:
            self.accepted[key] = answer.json()["id"]
            if self.random.random() < self.followed:
                reader = Reader(server, self.accepted[key])
                reader.follow()
                self.readers.append(reader)
            return
        if answer.status_code == 503 and "is not known" in answer.text:
            self.dark[key] = (kind, order)
            return
        assert answer.status_code in {429, 503, 507}, f"{answer.status_code} {answer.text}"
        self.refused += 1

    def settle(self, server: Server) -> None:
        """Repeat what got no answer, twice: there is one operation for each key."""
        for key, (kind, order) in self.dark.items():
            ids = set()
            for _ in range(2):
                answer = server.client.post(f"/{kind}", json=order, headers={"Idempotency-Key": key})
                assert answer.status_code == 202, answer.text
                ids.add(answer.json()["id"])
            assert len(ids) == 1
            self.accepted[key] = ids.pop()
