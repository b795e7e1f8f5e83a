"""Forgets what has passed its retention: records become tombstones, files go."""

from __future__ import annotations

import asyncio
import itertools
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from raincheck.core.errors import StorageFull, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from raincheck.ports import BlobStore, OperationStore

logger = logging.getLogger("raincheck.pruner")
_INTERVAL = 60.0
_SWEEP_EVERY = 60
_ORPHAN_AGE = timedelta(hours=1)
_BATCH = 500


class Pruner:
    """Looks once a minute, in batches that keep transactions short; once an hour for files without an operation."""

    def __init__(self, *, store: OperationStore, blobs: BlobStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with a look at once."""
        self._task = asyncio.create_task(self._work(), name="raincheck-pruner")

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        for round_number in itertools.count():
            try:
                gone = _BATCH
                while gone == _BATCH:
                    gone = await self.run_once()
                if round_number % _SWEEP_EVERY == 0:
                    await self.sweep()
            except (StoreUnavailable, StorageFull) as error:
                logger.warning("expired operations could not be removed: %s", error)
            except Exception:
                logger.exception("expired operations could not be removed; trying again")
            await asyncio.sleep(_INTERVAL)

    async def run_once(self) -> int:
        """Remove one batch; return how many operations went."""
        gone = await self._store.prune(self._clock(), limit=_BATCH)
        if gone:
            await self._blobs.remove_operations(gone)
        return len(gone)

    async def sweep(self) -> list[str]:
        """Remove the files of submits that were never committed; return their ids."""
        return await self._blobs.sweep(self._store.known, older_than=self._clock() - _ORPHAN_AGE)
