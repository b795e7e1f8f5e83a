"""Operations for the suites: built in one line, brought to any status, listened to without sleeping."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from raincheck.core import transitions
from raincheck.core.moments import milliseconds
from raincheck.core.names import RANDOM_BYTES, operation_id
from raincheck.core.operation import Operation, Problem, Status, StoredResult
from raincheck.ports import Claim, EventStore, OperationStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raincheck.core.transitions import Change

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
LEASE_END = NOW + 15 * SECOND
WORKER = "worker-1"
RESULT = StoredResult(media_type="application/json", body=b'{"pages": 3}', size=12, etag='"abc"')
PROBLEM = Problem(code="out-of-paper", title="The printer has no paper")


class Store(OperationStore, EventStore, Protocol):
    """What the suites run against: both store ports on one object, already opened."""


def an_operation(*, created: datetime = NOW, **fields: Any) -> Operation:
    """Return a new operation, queued and due; its id sorts by ``created``."""
    made: dict[str, Any] = {
        "id": operation_id(milliseconds=milliseconds(created), entropy=os.urandom(RANDOM_BYTES)),
        "kind": "report",
        "created_at": created,
        "updated_at": created,
        "run_at": created,
    }
    return Operation(**(made | fields))


def a_claim(**fields: Any) -> Claim:
    """Return a claim of up to ten operations of kind ``report`` from every queue."""
    made: dict[str, Any] = {
        "worker": WORKER,
        "kinds": ("report",),
        "queues": None,
        "limit": 10,
        "lease_until": LEASE_END,
        "now": NOW,
    }
    return Claim(**(made | fields))


async def submitted(store: Store, **fields: Any) -> Operation:
    """Submit a new operation and return it."""
    operation = an_operation(**fields)
    await store.submit(operation)
    return operation


async def started(store: Store, *, worker: str = WORKER, **fields: Any) -> Operation:
    """Submit a new operation, give it to a worker, and return it running."""
    operation = await submitted(store, **fields)
    return await start(store, operation.id, worker=worker)


async def start(
    store: Store,
    operation_id: str,
    *,
    worker: str = WORKER,
    lease_until: datetime = LEASE_END,
    now: datetime = NOW,
) -> Operation:
    """Give this very operation to a worker."""
    return await store.change(
        operation_id,
        lambda record: transitions.claim(record, worker=worker, lease_until=lease_until, now=now),
    )


async def brought_to(store: Store, status: Status, **fields: Any) -> Operation:
    """Submit an operation, bring it to a status by the rules, and return what the store then holds."""
    operation = await submitted(store, **fields)
    if status is not Status.QUEUED:
        await start(store, operation.id)
    if status in {Status.CANCELLING, Status.CANCELLED}:
        await store.change(operation.id, lambda record: transitions.request_cancel(record, now=NOW))
    match status:
        case Status.SUCCEEDED:
            await succeed(store, operation.id)
        case Status.FAILED:
            await store.change(operation.id, lambda record: transitions.fail(record, run=1, error=PROBLEM, now=NOW))
        case Status.CANCELLED:
            await store.change(operation.id, lambda record: transitions.release(record, run=1, now=NOW))
    return await record_of(store, operation.id)


async def succeed(store: Store, operation_id: str, *, run: int = 1, now: datetime = NOW) -> Operation:
    """End the run with a result."""
    return await store.change(operation_id, lambda record: transitions.succeed(record, run=run, result=RESULT, now=now))


async def record_of(store: Store, operation_id: str) -> Operation:
    """Return the full record, which must exist."""
    found = await store.get(operation_id)
    assert isinstance(found, Operation), f"{operation_id} is {found}"
    return found


class Watcher:
    """A listener that keeps what it hears, and where it heard it."""

    def __init__(self, store: Store) -> None:
        self.changes: list[Change] = []
        self.loops: set[asyncio.AbstractEventLoop | None] = set()
        self._news = asyncio.Event()
        store.subscribe(self._hear)

    def _hear(self, changes: Sequence[Change]) -> None:
        try:
            self.loops.add(asyncio.get_running_loop())
        except RuntimeError:
            self.loops.add(None)
        self.changes.extend(changes)
        self._news.set()

    async def heard(self, count: int) -> list[Change]:
        """Wait until so many changes were heard; fail after ten seconds."""
        async with asyncio.timeout(10):
            while len(self.changes) < count:
                self._news.clear()
                await self._news.wait()
        return self.changes
