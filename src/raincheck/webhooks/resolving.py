"""Names to addresses, without holding up anybody else who resolves names."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raincheck.webhooks.addresses import Address


class Resolver(Protocol):
    """Finds the addresses of a name, now.

    1. ``resolve`` gives all addresses in the order to try them; an unknown name raises ``OSError``.
    """

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Return the addresses of a host."""
        ...


class SystemResolver:
    """Asks the system, each name in a thread of its own.

    ``loop.getaddrinfo`` shares four to eight threads with the whole application, and a name server that never answers
    holds one for half a minute. A few such receivers would stop every other lookup of the process. The threads are
    daemons, so that they never delay an exit.

    :param most: lookups that may be under way; more wait for one to end.
    """

    def __init__(self, *, most: int = 64) -> None:
        self._free = asyncio.Semaphore(most)

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Return the addresses of a host.

        :raises OSError: the name is unknown, or no name server answers.
        """
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Sequence[Address]] = loop.create_future()

        def look_up() -> None:
            addresses, failure = _looked_up(host, port)
            # Without a loop, nobody waits for the answer any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._settle, found, addresses, failure)

        try:
            threading.Thread(target=look_up, name="raincheck-resolve", daemon=True).start()
        except BaseException:
            self._free.release()
            raise
        return await found

    def _settle(
        self, found: asyncio.Future[Sequence[Address]], addresses: Sequence[Address], failure: Exception | None
    ) -> None:
        self._free.release()
        if found.done():
            return  # whoever asked has given up
        if failure is None:
            found.set_result(addresses)
        else:
            found.set_exception(failure)


def _looked_up(host: str, port: int) -> tuple[list[Address], Exception | None]:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        # A zone (the part behind %) belongs to link-local addresses, which are refused with and without it.
        return [ip_address(str(answer[4][0])) for answer in answers], None
    except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
        return [], error
