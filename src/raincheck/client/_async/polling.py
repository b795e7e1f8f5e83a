"""Following an operation by asking: long polls where they get through, short ones where they do not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio

from raincheck.client._async.connection import json_of
from raincheck.client.deadline import Deadline
from raincheck.client.errors import Busy, ServerUnreachable, WaitTimedOut
from raincheck.client.models import OperationState, state_from
from raincheck.client.submitting import seconds_text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import httpx2

    from raincheck.client._async.connection import AsyncConnection

_HOLD = 25.0  # seconds; below the half minute after which many proxies give up
_GRACE = 5.0
_MOST_BROKEN = 3
_DEFAULT_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


class AsyncPoller:
    """Asks for the states of one operation."""

    def __init__(self, connection: AsyncConnection, url: httpx2.URL) -> None:
        self._connection = connection
        self._url = url
        self._broken = 0

    async def now(self, deadline: Deadline | None = None) -> OperationState:
        """Return the operation as it is."""
        response = await self._connection.send("GET", self._url, deadline=deadline or Deadline(None))
        return state_from(json_of(response))

    async def newer(
        self, state: OperationState | None, deadline: Deadline, *, only_done: bool
    ) -> AsyncGenerator[OperationState]:
        """Give each newer state until the operation is done, which is the last.

        :param only_done: whether the states in between are of no interest, which spares requests.
        :raises WaitTimedOut: the deadline passed first.
        """
        while state is None or not state.done:
            began = time.monotonic()
            found = await self._held(state, deadline, only_done=only_done)
            quick = time.monotonic() - began < _DEFAULT_PAUSE
            changed = state is None or found.version > state.version
            if changed:
                state = found
                yield found
            if not found.done:
                _check(deadline, found)
                if quick and (only_done or not changed):
                    # Answered at once without being done: the server drains, or something drops the query.
                    await anyio.sleep(min(pause_of(found), deadline.remaining))

    async def _held(self, state: OperationState | None, deadline: Deadline, *, only_done: bool) -> OperationState:
        """Ask with a long poll; where that breaks, ask shortly, which goes on over restarts of the server."""
        hold = min(_HOLD, deadline.remaining)
        if hold and self._broken < _MOST_BROKEN:
            parameters = {"wait": seconds_text(hold)}
            if state is not None and not only_done:
                parameters["after"] = str(state.version)
            try:
                response = await self._connection.send(
                    "GET", self._url, params=parameters, again=False, read=hold + _GRACE
                )
            except (ServerUnreachable, Busy):
                self._broken += 1
            else:
                self._broken = 0
                return state_from(json_of(response))
        return await self.now(Deadline(deadline.remaining + _GRACE))


def _check(deadline: Deadline, state: OperationState) -> None:
    if deadline.passed:
        msg = f"Operation {state.id} is still {state.status}. It goes on: ask again, or cancel it."
        raise WaitTimedOut(msg)


def pause_of(state: OperationState) -> float:
    """Return how many seconds to wait before the next poll, as the server advises."""
    advised = _DEFAULT_PAUSE if state.poll_after_ms is None else state.poll_after_ms / 1000
    return min(max(advised, 0.05), _LONGEST_PAUSE)
