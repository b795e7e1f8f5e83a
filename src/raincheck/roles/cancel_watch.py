"""Learns at once of cancels that another process wrote; the heartbeat would learn of them seconds later."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from raincheck.core.errors import StoreUnavailable
from raincheck.roles.looks import rest_after

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raincheck.ports import Lease, OperationStore

logger = logging.getLogger("raincheck.cancel")


class CancelWatch:
    """Looks when another process has written something, while this one runs anything.

    :param busy: whether anything runs here.
    :param asked: told which runs were asked to cancel; it may be told again.
    """

    def __init__(
        self,
        *,
        store: OperationStore,
        worker: str,
        busy: Callable[[], bool],
        asked: Callable[[Sequence[Lease]], None],
    ) -> None:
        self._store = store
        self._worker = worker
        self._busy = busy
        self._asked = asked
        self._noticed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._work(), name="raincheck-cancel-watch")

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def notice(self) -> None:
        """Another process has written something."""
        if self._busy():
            self._noticed.set()

    async def run_once(self) -> None:
        """Look once."""
        leases = await self._store.cancelling(self._worker)
        if leases:
            self._asked(leases)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._noticed.wait()
            self._noticed.clear()
            began = loop.time()
            try:
                await self.run_once()
            except StoreUnavailable as error:
                logger.info("cancels of other processes could not be looked for: %s", error)
            except Exception:
                logger.exception("cancels of other processes could not be looked for; the heartbeat finds them")
            await asyncio.sleep(rest_after(loop.time() - began))
