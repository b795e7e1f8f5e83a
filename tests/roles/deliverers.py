"""Deliverers and processes that tests hold in their hands."""

from __future__ import annotations

import asyncio

from raincheck.core.deliveries import Attempt
from raincheck.testing.conformance.specimens import SECOND


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
