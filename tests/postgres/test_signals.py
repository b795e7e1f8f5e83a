"""Processes tell each other of commits, over the loss of the connections that they tell and listen on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from raincheck.signals.postgres import PostgresSignals
from raincheck.stores.postgres.connecting import connect, pauses
from tests.postgres.conftest import database_at

pytestmark = pytest.mark.anyio
PATIENCE = 20.0


class Ear:
    """One process: its signals, the connections it has opened, and what it hears."""

    def __init__(self, url: str) -> None:
        self._database = database_at(url)
        self.connections: asyncio.Queue[int] = asyncio.Queue()
        self.opened: Any = None
        self.heard = asyncio.Event()
        self.signals = PostgresSignals(connect=self._connect, pauses=pauses, channel=self._database.schema)

    async def _connect(self) -> object:
        connection = await connect(self._database, direct=True)
        self.opened = connection
        self.connections.put_nowait(connection.get_server_pid())
        return connection

    async def until_heard(self) -> None:
        await asyncio.wait_for(self.heard.wait(), PATIENCE)
        self.heard.clear()


@contextlib.asynccontextmanager
async def listening(url):
    """Start a process's signals, and wait until it listens: it is told of the time before."""
    ear = Ear(url)
    await ear.signals.start(ear.heard.set)
    try:
        await ear.until_heard()
        yield ear
    finally:
        await ear.signals.stop()


async def test_what_was_written_when_the_connection_broke_is_told_on_the_next(postgres, postgres_url):
    """The others need not wait for their slow poll because this process lost its connection while it told them."""
    async with listening(postgres_url) as listener, listening(postgres_url) as teller:
        await listener.until_heard()  # that the teller has come
        postgres.psql(f"SELECT pg_terminate_backend({await teller.connections.get()})")
        teller.signals.tell()
        await listener.until_heard()


async def test_what_was_written_while_nobody_listened_is_looked_for(postgres, postgres_url):
    """A listener whose connection broke looks as soon as it has another one; what it missed was a hint only."""
    async with listening(postgres_url) as listener:
        first = await listener.connections.get()
        postgres.psql(f"SELECT pg_terminate_backend({first})")
        listener.signals.tell()  # it finds out when it speaks
        await listener.until_heard()
        assert await listener.connections.get() != first


async def test_a_notification_that_comes_with_the_end_of_its_connection_is_heard(postgres_url):
    """The driver hands it over when the connection is closed already, and has no process any more."""
    async with listening(postgres_url) as listener:
        connection = listener.opened
        [told] = connection._listeners[listener.signals._channel]
        connection.terminate()
        listener.heard.clear()
        told.cb(connection, 0, listener.signals._channel, "")
        assert listener.heard.is_set()
