"""Finds what a worker may lease."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from raincheck.core import transitions
from raincheck.core.moments import milliseconds
from raincheck.stores.postgres.queries import statement
from raincheck.stores.postgres.rows import FULL_COLUMNS, operation_from, storable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from raincheck.core.operation import Operation
    from raincheck.ports import Claim

    Wish = tuple[Sequence[str], Sequence[str] | None]

LOOK_FOR_LATE = 5.0  # seconds


class Claims:
    """Locks rows for a claim until the transaction's end, and tells whether anything waits for one.

    :param number: SQL of a last column, which tells the transaction's number.
    """

    def __init__(self, schema: str, *, number: str) -> None:
        columns = f"{FULL_COLUMNS}, {number}"
        self._claimable = statement("claimable", schema=schema, columns=columns)
        self._late = statement("late", schema=schema, columns=columns)
        self._named = statement("named", schema=schema, columns=columns)
        self._waiting = statement("waiting", schema=schema)
        self._late_looks: dict[Wish, LateLook] = {}

    async def waits(self, connection: Any, claim: Claim) -> bool:
        """Tell whether work that the claim would take is due."""
        return bool(await connection.fetchval(self._waiting, milliseconds(claim.now), *_wish(claim)))

    async def lock(self, connection: Any, claim: Claim) -> list[tuple[Operation, str]]:
        """Return what the claim may take, in order, each with the number of the transaction."""
        given = (milliseconds(claim.now), *_wish(claim), claim.limit)
        set_back = milliseconds(claim.now + transitions.CLOCK_TOLERANCE)
        if claim.ids is not None:
            rows = await connection.fetch(self._named, *given, set_back, claim.ids)
            return [(operation_from(row), row[-1]) for row in rows]
        found = [(operation_from(row), row[-1]) for row in await connection.fetch(self._claimable, *given)]
        look = self._late_looks.setdefault((claim.kinds, claim.queues), LateLook())
        if look.is_due(claim.now):
            late = [(operation_from(row), row[-1]) for row in await connection.fetch(self._late, *given, set_back)]
            look.found(anything=bool(late))
            found = sorted([*found, *late], key=_order)[: claim.limit]
        return found


class LateLook:
    """Tells when to look for what a clock that was set back has left in the future.

    That reads all that is queued for later, so it is done at the start, when the clock is seen to step back, as long
    as something is found, and now and then for what other processes have queued.

    :param monotonic: seconds that only rise.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._next = float("-inf")
        self._latest: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Tell whether a claim at this moment should look."""
        stepped_back = self._latest is not None and now + transitions.CLOCK_TOLERANCE < self._latest
        self._latest = now
        return stepped_back or self._monotonic() >= self._next

    def found(self, *, anything: bool) -> None:
        """Note what a look has found."""
        self._next = float("-inf") if anything else self._monotonic() + LOOK_FOR_LATE


def _order(found: tuple[Operation, str]) -> tuple[int, datetime, str]:
    operation, _ = found
    return -operation.priority, operation.run_at, operation.id


def _wish(claim: Claim) -> tuple[list[str], list[str] | None]:
    """Return the kinds and queues as the database holds them."""
    queues = None if claim.queues is None else [storable(queue) for queue in claim.queues]
    return [storable(kind) for kind in claim.kinds], queues
