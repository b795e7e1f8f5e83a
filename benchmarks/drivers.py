"""asyncpg against psycopg 3 in the writer's loop: one batch of new operations after the other, each a durable commit.

``python -m benchmarks drivers``, after ``pip install 'psycopg[binary]'``; docs/decisions/0028 tells what it showed.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmarks.million import _operation
from benchmarks.peers.services import postgres
from benchmarks.server import pin
from raincheck.locations import PostgresDatabase
from raincheck.stores.postgres import PostgresStore
from raincheck.stores.postgres.queries import statement
from raincheck.stores.postgres.rows import insert_values

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Insert = Callable[[list[tuple[Any, ...]]], Awaitable[int]]

BATCHES, ROWS, ROUNDS = 150, 32, 5


def measure() -> dict[str, float]:
    """Return rows a second, and the microseconds of this process that each row costs."""
    cores = os.sched_getaffinity(0)
    pin(1)
    with postgres() as url:
        os.sched_setaffinity(0, cores)
        pin(0)
        try:
            return asyncio.run(_measured(url))
        finally:
            os.sched_setaffinity(0, cores)


async def _measured(url: str) -> dict[str, float]:
    text = statement("insert_operations", schema="drivers")
    store = PostgresStore(PostgresDatabase(url, "drivers"))
    await store.open()
    await store.close()
    found: dict[str, list[tuple[float, float]]] = {}
    ways = {"asyncpg": await _asyncpg(url, text), "psycopg": await _psycopg(url, text)}
    for _ in range(ROUNDS):
        for name, insert in ways.items():
            found.setdefault(name, []).append(await _timed(insert))
    figures = {}
    for name, pairs in found.items():
        figures[f"{name}_rows_per_second"] = statistics.median(rate for rate, _ in pairs)
        figures[f"{name}_cpu_us_per_row"] = statistics.median(cost for _, cost in pairs)
        rate, cost = figures[f"{name}_rows_per_second"], figures[f"{name}_cpu_us_per_row"]
        print(f"  {name}: {rate:,.0f} rows a second, {cost:.1f} us of the client's processor each")
    return figures


async def _timed(insert: Insert) -> tuple[float, float]:
    batches = [[insert_values(_operation(datetime.now(UTC))) for _ in range(ROWS)] for _ in range(BATCHES)]
    began, used = time.perf_counter(), time.process_time()
    for batch in batches:
        assert await insert(batch) == ROWS
    took, used = time.perf_counter() - began, time.process_time() - used
    return BATCHES * ROWS / took, 1e6 * used / (BATCHES * ROWS)


async def _asyncpg(url: str, text: str) -> Insert:
    import asyncpg  # noqa: PLC0415 - of an extra

    connection = await asyncpg.connect(url)

    async def insert(rows: list[tuple[Any, ...]]) -> int:
        return len(await connection.fetch(text, *zip(*rows, strict=True)))

    return insert


async def _psycopg(url: str, text: str) -> Insert:
    import psycopg  # noqa: PLC0415 - only here

    connection = await psycopg.AsyncConnection.connect(url, autocommit=True, prepare_threshold=0)
    text = re.sub(r"\$\d+::", "%s::", text)

    async def insert(rows: list[tuple[Any, ...]]) -> int:
        given = [list(column) for column in zip(*rows, strict=True)]
        cursor = await connection.execute(text, given, binary=True)
        return len(await cursor.fetchall())

    return insert
