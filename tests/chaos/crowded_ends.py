"""SIGTERM again and again, each time to a server with a crowd of readers: it is gone at once, and so are they."""

from __future__ import annotations

import asyncio
import signal
import time

from tests.chaos.driver import Scene
from tests.servers.crowd import Crowd

STREAMS, SOCKETS, POLLS = 100, 20, 20
BOUND = 5.0


def crowded_ends(scene: Scene, count: int) -> list[float]:
    """End a server so many times and return the seconds that each took; a reader or a program that hangs fails.

    An operation runs all the while: each end hands it back, and the next server goes on with it.
    """
    scene.settings["RAINCHECK_DRAIN"] = "1s"
    operation_id: str | None = None
    took = []
    for number in range(count):
        server = scene.start().ready()
        if operation_id is None:
            operation_id = server.submit("async", steps=10_000, pause=0.1, progress=True)
        scene.begun(operation_id, run=number + 1)
        took.append(asyncio.run(_ended(server.port, f"/operations/{operation_id}", server.process)))
        assert not scene.living_pids()
    operation, events = scene.read([operation_id or ""])[operation_id or ""]
    assert (operation.status.value, operation.run, operation.attempt, operation.losses) == ("queued", count, 0, 0)
    versions = [event.version for event in events]
    assert versions == sorted(set(versions))
    return took


async def _ended(port: int, location: str, process: object) -> float:
    crowd = Crowd()
    async with asyncio.timeout(60):
        await crowd.gather(port, location, streams=STREAMS, sockets=SOCKETS, polls=POLLS)
    at = time.monotonic()
    process.send_signal(signal.SIGTERM)  # type: ignore[attr-defined]
    async with asyncio.timeout(BOUND):
        await asyncio.to_thread(process.wait, BOUND)  # type: ignore[attr-defined]
        took = time.monotonic() - at
        await asyncio.gather(*crowd.tasks)
    assert len(crowd.ended) == STREAMS + SOCKETS + POLLS
    assert set(crowd.codes) == {1012}
    return took
