"""The bare sketch that the accept is measured against: what a durable answer costs on this machine at the least.

A validated body, an id, one row in one fsynced transaction for each batch, an answer of 1 kB that is ready: no events,
owners, keys, links, engine or other process. How much of it a real accept reaches depends little on the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import secrets
import sqlite3
import threading
import time

from fastapi import APIRouter, Request, Response

from benchmarks.orders import Order  # noqa: TC001 - FastAPI reads it

Row = tuple[asyncio.Future[None], tuple[str, int, str]]

_TABLE = "CREATE TABLE operations (id TEXT PRIMARY KEY, created_at INTEGER, status TEXT, version INTEGER, input TEXT)"
_QUEUE = "CREATE INDEX queued ON operations (created_at) WHERE status = 'queued'"
_INSERT = "INSERT INTO operations SELECT value->>0, value->>1, 'queued', 1, value->>2 FROM json_each(?)"
_REST = b'", "kind": "accept", "status": "queued", "version": 1, "padding": "' + b"x" * 800 + b'"}'


class Sketch:
    """Commits what came during the former commit, in a thread."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", _TABLE, _QUEUE):
            self._connection.execute(statement)
        self._waiting: list[Row] = []
        self._busy = False
        self._inbox: queue.SimpleQueue[list[Row]] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._work, daemon=True).start()

    def store(self, row: tuple[str, int, str]) -> asyncio.Future[None]:
        """Return a future that ends when the row is on disk."""
        stored = self._loop.create_future()
        if not self._waiting and not self._busy:
            self._loop.call_soon(self._cut)
        self._waiting.append((stored, row))
        return stored

    def _cut(self) -> None:
        self._busy = True
        batch, self._waiting = self._waiting, []
        self._inbox.put(batch)

    def _work(self) -> None:
        while True:
            batch = self._inbox.get()
            self._connection.execute(_INSERT, (json.dumps([row for _, row in batch]),))
            self._loop.call_soon_threadsafe(self._done, batch)

    def _done(self, batch: list[Row]) -> None:
        self._busy = False
        for stored, _ in batch:
            if not stored.done():
                stored.set_result(None)
        if self._waiting:
            self._cut()


router = APIRouter()


@router.post("/sketch", status_code=202)
async def sketch(order: Order, request: Request) -> Response:  # noqa: ARG001 - validated, and stored as it came
    """Make an order durable and say so."""
    state = request.app.state
    if not hasattr(state, "sketch"):
        state.sketch = Sketch(f"sketch-{os.getpid()}.db")
    moment = time.time_ns() // 1_000_000
    identity = f"op_{moment:x}{secrets.token_hex(8)}"
    await state.sketch.store((identity, moment, (await request.body()).decode()))
    here = f"/operations/{identity}"
    return Response(
        b'{"id": "' + identity.encode() + _REST,
        202,
        {"location": here, "retry-after": "1"},
        media_type="application/json",
    )
