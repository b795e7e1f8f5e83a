"""Deliverers and processes that tests hold in their hands."""

from __future__ import annotations

import asyncio
from functools import partial

from raincheck.core import delivery_rules
from raincheck.core.deliveries import Attempt
from raincheck.core.delivery_rules import Verdict
from raincheck.core.endpoints import Callback, Source
from raincheck.testing.conformance.specimens import NOW, SECOND, started, succeed

URL = "https://hooks.example.com/one"


class RecordingDeliverer:
    """Keeps what it was asked to send; answers 200, what a URL is set to, or waits until a URL is let go."""

    def __init__(self) -> None:
        self.sent = []
        self.running = False
        self.answers = {}
        self.held = {}
        self.under_way = 0
        self.most_under_way = 0
        self._news = asyncio.Event()

    async def start(self):
        self.running = True

    async def stop(self):
        self.running = False

    async def send(self, message):
        assert self.running
        self.sent.append(message)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self._news.set()
        try:
            if message.url in self.held:
                await self.held[message.url].wait()
        finally:
            self.under_way -= 1
        answer = self.answers.get(message.url, Attempt(latency=SECOND, status=200))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def hold(self, url):
        self.held[url] = asyncio.Event()

    def let_go(self, url):
        self.held.pop(url).set()

    async def until_sent(self, count):
        async with asyncio.timeout(5):
            while len(self.sent) < count:
                self._news.clear()
                await self._news.wait()
        return self.sent


class Alive:
    """A liveness whose dead are named by the test."""

    def __init__(self):
        self.dead = set()

    def is_dead(self, worker):
        return worker in self.dead


async def ended(store, url=URL):
    """End an operation that calls a URL back, and return the delivery."""
    running = await started(store, callback=Callback(url))
    await succeed(store, running.id)
    [delivery] = [each for each in await store.deliveries_of(running.id) if each.source is Source.CALLBACK]
    return delivery


async def until(store, delivery, status):
    """Wait until a delivery has a status, and return it."""
    async with asyncio.timeout(5):
        while (found := await store.get_delivery(delivery.id)).status is not status:
            await asyncio.sleep(0)
    return found


async def held_by(store, delivery, worker):
    """Lease a delivery to a worker, as a process did that is no more."""
    lease = partial(delivery_rules.lease, worker=worker, lease_until=NOW + 60 * SECOND, now=NOW)
    await store.change_delivery(delivery.id, lambda found, health: Verdict(lease(found), health))
