"""Tells whether this process can serve now: what an orchestrator asks before it sends requests here."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from raincheck.core.errors import NotReady
from raincheck.roles.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger("raincheck.health")
_BOUND = 0.8  # Kubernetes gives a probe one second by default
_COUNTS = 1.0


class Readiness:
    """Asks the store at most once a second, however many ask: probes must cost nothing in a storm of them.

    :param probe: one cheap read of the store.
    :param draining: whether this process is shutting down.
    :param silence: seconds since the heartbeat of this process last got through; None where no work runs here.
    :param lease: seconds after which a silent worker loses what it holds.
    """

    def __init__(
        self,
        *,
        probe: Callable[[], Awaitable[object]],
        draining: Callable[[], bool],
        silence: Callable[[], float | None],
        lease: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probe = probe
        self._draining = draining
        self._silence = silence
        self._lease = lease
        self._monotonic = monotonic
        self._one_at_a_time = asyncio.Lock()
        self._asked_at = float("-inf")
        self._refusal: str | None = None
        self._trouble = Trouble(logger, "this process is not ready", monotonic=monotonic)

    async def check(self) -> None:
        """Return if this process can serve.

        :raises NotReady: it cannot; the message says why and names nothing that is secret.
        """
        if self._draining():
            detail = "This process is shutting down and takes nothing new. Another one goes on."
            raise NotReady(detail, retry_after=1)
        silence = self._silence()
        if silence is not None and silence > self._lease:
            detail = (
                f"The worker of this process has renewed no lease for {silence:.0f} s, so others take over what it "
                "runs. It recovers once the operation store can be written; its log says what is wrong."
            )
            raise NotReady(detail, retry_after=1)
        refusal = await self._refusal_of_store()
        if refusal is not None:
            raise NotReady(refusal, retry_after=1)

    async def _refusal_of_store(self) -> str | None:
        async with self._one_at_a_time:
            if self._monotonic() - self._asked_at < _COUNTS:
                return self._refusal
            try:
                async with asyncio.timeout(_BOUND):
                    await self._probe()
            except TimeoutError as error:
                self._refusal = f"The operation store did not answer within {_BOUND} s."
                self._trouble.met(error)
            except Exception as error:  # noqa: BLE001 - whatever it is, this process cannot serve now
                self._refusal = "The operation store cannot be read now. The log of this process says why."
                self._trouble.met(error)
            else:
                self._refusal = None
                self._trouble.over()
            self._asked_at = self._monotonic()
            return self._refusal
