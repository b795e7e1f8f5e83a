"""The memory store keeps the promises of the store ports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from raincheck.ports import Accepted
from raincheck.stores.memory import MemoryStore
from raincheck.testing.conformance import (
    DeliveryConformance,
    OperationStoreConformance,
    OutboxConformance,
    TicketConformance,
)
from raincheck.testing.conformance.specimens import Watcher, an_operation, started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.mark.usefixtures("anyio_backend")
class TestMemoryStore(OperationStoreConformance, OutboxConformance, TicketConformance, DeliveryConformance):
    """Not durable and not shared, so it promises only what every store does."""

    @pytest.fixture
    async def store(self) -> AsyncIterator[MemoryStore]:
        """Provide an open, empty store."""
        store = MemoryStore()
        await store.open()
        yield store
        await store.close()

    async def test_changes_from_another_threads_loop_are_heard_in_the_loop_that_opened_the_store(
        self, store: MemoryStore
    ) -> None:
        """Every method may be called from any thread, and listeners still need no lock."""
        watcher = Watcher(store)
        await asyncio.to_thread(lambda: asyncio.run(started(store)))
        assert [change.operation.version for change in await watcher.heard(2)] == [1, 2]
        assert watcher.loops == {asyncio.get_running_loop()}

    async def test_a_listener_that_fails_does_not_make_a_commit_look_undone(self, store: MemoryStore) -> None:
        """The caller gets its answer, and the other listeners hear of it."""

        def broken(_: object) -> None:
            msg = "a bug"
            raise ZeroDivisionError(msg)

        store.subscribe(broken)
        watcher = Watcher(store)
        operation = an_operation()
        assert await store.submit(operation) == Accepted(operation)
        assert len(await watcher.heard(1)) == 1
