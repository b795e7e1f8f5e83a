"""Renews the leases of this process from an OS thread, so that a blocked event loop loses nothing."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING

from raincheck.core.errors import StorageFull, StoreUnavailable
from raincheck.own_threads import in_own_thread
from raincheck.roles.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from raincheck.ports import Lease, OperationStore, Renewal

logger = logging.getLogger("raincheck.heartbeat")


class Heartbeat:
    """Renews every third of a lease, in one batch.

    :param held: the leases of the moment, safe to call from another thread.
    :param renewed: told on the owning loop which leases are lost and which runs were asked to cancel.
    :param monotonic: seconds, for ``silence``.
    """

    def __init__(
        self,
        *,
        store: OperationStore,
        lease: timedelta,
        clock: Callable[[], datetime],
        held: Callable[[], list[Lease]],
        renewed: Callable[[Renewal], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._lease = lease
        self._clock = clock
        self._held = held
        self._renewed = renewed
        self._monotonic = monotonic
        self._beat_at = monotonic()
        self._trouble = Trouble(logger, "leases could not be renewed")
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def silence(self) -> float:
        """Seconds since all held leases were last renewed, or since there were none to renew."""
        return self._monotonic() - self._beat_at

    async def start(self) -> None:
        """Start the thread."""
        self._beat_at = self._monotonic()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._beat, name="raincheck-heartbeat", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            await in_own_thread(self._thread.join)

    async def run_once(self) -> Renewal | None:
        """Renew all held leases once."""
        leases = self._held()
        if not leases:
            return None
        return await self._store.renew(leases, lease_until=self._clock() + self._lease)

    def _beat(self) -> None:
        interval = self._lease.total_seconds() / 3
        with asyncio.Runner() as runner:
            pause = interval
            while not self._stopping.wait(pause):
                try:
                    renewal = runner.run(self.run_once())
                except (StoreUnavailable, StorageFull) as error:
                    self._trouble.met(error)
                    pause = interval / 10
                except Exception:
                    logger.exception("leases could not be renewed, trying again soon")
                    pause = interval / 10
                else:
                    self._trouble.over()
                    self._beat_at = self._monotonic()
                    pause = interval
                    if renewal is not None and not self._loop.is_closed():  # type: ignore[union-attr]
                        self._loop.call_soon_threadsafe(self._renewed, renewal)  # type: ignore[union-attr]
