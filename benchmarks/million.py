"""What operations cost beside a million finished ones, against an empty store: interleaved, medians of ratios."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import filling
from benchmarks.peers.services import postgres
from raincheck.core import transitions
from raincheck.core.moments import milliseconds
from raincheck.core.names import RANDOM_BYTES, operation_id
from raincheck.core.operation import Operation, StoredResult
from raincheck.ports import Claim, ListQuery
from raincheck.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

FINISHED = 1_000_000
ROUNDS = 15
AT_ONCE = 200
_OWNER = "somebody"
_RESULT = StoredResult(media_type="application/json", body=b"null", size=4, etag="x")
_INPUT = '{"v":1,"type":"application/json","body":"{}"}'
_BUILD = """
INSERT INTO operations (
    id, kind, owner, status, version, run, attempt, max_attempts, losses, max_losses, queue, priority, created_at,
    updated_at, run_at, started_at, finished_at, expires_at, retention, progress_version, progress_run,
    output_events, output_bytes, metadata, result, result_body, input
) VALUES (
    :id, 'report', :owner, 'succeeded', 3, 1, 1, 1, 0, 3, 'default', 0, :at, :at, :at, :at, :at, :at + 604800000,
    604800000, 0, 0, 0, 0, '{}', '[200, "application/json", [], null, 4, "x"]', x'6e756c6c', :input
)
"""


def measure() -> dict[str, float]:
    """Return how many times as long each takes beside a million finished operations."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        empty, full = Path(folder) / "empty.db", Path(folder) / "full.db"
        asyncio.run(_create(empty))
        asyncio.run(_create(full))
        began = time.perf_counter()
        _fill(full)
        print(f"  {FINISHED:,} finished operations written in {time.perf_counter() - began:.0f} s")
        return asyncio.run(_compare([SqliteStore(empty), SqliteStore(full)]))


def measure_postgres() -> dict[str, float]:
    """Do the same in two schemas of one PostgreSQL server."""
    import asyncpg  # noqa: PLC0415 - of an extra

    from raincheck.locations import PostgresDatabase  # noqa: PLC0415
    from raincheck.stores.postgres import PostgresStore  # noqa: PLC0415

    async def filled(url: str) -> dict[str, float]:
        stores = [PostgresStore(PostgresDatabase(url, schema)) for schema in ("empty", "full")]
        for store in stores:
            await store.open()
            await store.close()
        connection = await asyncpg.connect(url)
        await connection.execute("SET synchronous_commit = off")
        began = time.perf_counter()
        for text in filling.statements("full", FINISHED):
            await connection.execute(text)
        await connection.close()
        print(f"  {FINISHED:,} finished operations written in {time.perf_counter() - began:.0f} s", flush=True)
        return await _compare(stores)

    with postgres() as url:
        return {f"postgres_{name}": value for name, value in asyncio.run(filled(url)).items()}


async def _create(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.close()


def _fill(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany(_BUILD, _rows())
    connection.close()


def _rows() -> Iterator[dict[str, object]]:
    began = milliseconds(datetime.now(UTC) - timedelta(days=1))
    for number in range(FINISHED):
        at = began + number // 20
        identity = operation_id(milliseconds=at, entropy=os.urandom(RANDOM_BYTES))
        yield {"id": identity, "owner": _OWNER if number % 2 else "", "at": at, "input": _INPUT}


async def _compare(stores: Sequence[Any]) -> dict[str, float]:
    for store in stores:
        await store.open()
    try:
        ratios: dict[str, list[float]] = {}
        for round_number in range(ROUNDS + 1):
            times = [await _round(store) for store in stores]
            if round_number:  # the first one warms the caches
                for name in times[0]:
                    ratios.setdefault(name, []).append(times[1][name] / times[0][name])
    finally:
        for store in stores:
            await store.close()
    found = {f"million_{name}_ratio": statistics.median(values) for name, values in ratios.items()}
    for name, value in found.items():
        print(f"  {name}: {value:.2f}")
    return found


async def _round(store: Any) -> dict[str, float]:
    """Accept, claim, look at, list and finish some operations; return the seconds of each step."""
    now = datetime.now(UTC)
    operations = [_operation(now) for _ in range(AT_ONCE)]
    times = {}

    async def timed(name: str, action: Callable[[], Awaitable[object]]) -> None:
        began = time.perf_counter()
        await action()
        times[name] = time.perf_counter() - began

    claim = Claim(
        worker="w", kinds=("report",), queues=None, limit=AT_ONCE, lease_until=now + timedelta(seconds=15), now=now
    )
    await timed("accept", lambda: asyncio.gather(*(store.submit(each) for each in operations)))
    await timed("claim", lambda: store.claim(claim))
    await timed("poll", lambda: asyncio.gather(*(store.get(each.id) for each in operations)))
    await timed("list", lambda: _pages(store))
    await timed("reaper", lambda: _looks(store, now))
    await timed("finish", lambda: asyncio.gather(*(_finish(store, each.id, now) for each in operations)))
    return times


def _operation(now: datetime) -> Operation:
    identity = operation_id(milliseconds=milliseconds(now), entropy=os.urandom(RANDOM_BYTES))
    return Operation(id=identity, kind="report", owner=_OWNER, created_at=now, updated_at=now, run_at=now, input=_INPUT)


async def _pages(store: Any) -> None:
    for owner in (_OWNER, None) * 5:
        await store.list_page(ListQuery(owner=owner))


async def _looks(store: Any, now: datetime) -> None:
    for _ in range(10):
        await store.overdue(now)
        await store.cancelling("w")
        await store.queue_depth(limit=10)


async def _finish(store: Any, identity: str, now: datetime) -> None:
    await store.change(identity, lambda found: transitions.succeed(found, run=1, result=_RESULT, now=now))
