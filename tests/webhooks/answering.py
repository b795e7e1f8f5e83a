"""Answers of receivers, and attempts at them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.webhooks.conftest import message, receiving, sending

SHORT = timedelta(seconds=0.3)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def never(reader, writer):
    """Answer nothing and keep the connection."""
    await asyncio.Event().wait()


def endlessly(start, piece):
    """Answer without an end, as fast as the sender takes it."""

    async def answer(reader, writer):
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()

    return answer


def dribbling(start, piece):
    """Answer without an end, a few bytes at a time."""

    async def answer(reader, writer):
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)

    return answer


async def sent(answer, *, whole=timedelta(seconds=10), **changes):
    """Make one attempt at a receiver."""
    async with receiving(answer) as receiver, sending(whole=whole) as deliverer:
        return await deliverer.send(message(receiver.url, **changes))
