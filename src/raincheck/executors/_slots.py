"""Counting the runs of an executor."""

from __future__ import annotations

import asyncio

from raincheck.core.errors import ConfigurationError


class Slots:
    """A bounded number of places; who finds none free waits in line."""

    def __init__(self, total: int) -> None:
        if total < 1:
            msg = f"an executor needs at least one slot, not {total}"
            raise ConfigurationError(msg)
        self.total = total
        self._taken = 0
        self._gate = asyncio.Semaphore(total)

    @property
    def free(self) -> int:
        """The number of places that are free now."""
        return self.total - self._taken

    async def take(self) -> None:
        """Take a place, waiting for one if need be."""
        await self._gate.acquire()
        self._taken += 1

    def give_back(self) -> None:
        """Free a place."""
        self._taken -= 1
        self._gate.release()
