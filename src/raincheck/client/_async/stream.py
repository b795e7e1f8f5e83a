"""One event stream that goes on over cuts, as long as something before the server lets streams through."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio
import httpx2

from raincheck.client.errors import RequestRefused, ServerUnreachable, StreamUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from raincheck.client._async.connection import AsyncConnection

_REFUSALS = frozenset({405, 406, 415, 501})  # what servers and proxies answer that know no streams
_LARGEST_FRAME = 256 << 20  # bytes; the contract's limit of an operation's whole output
_SHORT = 5.0  # seconds; a stream that ends sooner, without an event, was cut by something that does not want it
_MOST_SHORT = 3
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


class AsyncStream:
    """Reads frames from a URL; whenever the stream ends, it is opened again at the cursor.

    :param cursor: tells the id of the last frame that the caller has; None for none.
    """

    def __init__(self, connection: AsyncConnection, url: httpx2.URL, cursor: Callable[[], str | None]) -> None:
        self._connection = connection
        self._url = url
        self._cursor = cursor
        self._pause = _FIRST_PAUSE

    async def frames(self) -> AsyncGenerator[httpx2.ServerSentEvent]:
        """Give frames until the server says that none can follow.

        :raises StreamUnavailable: streams are refused, held back, or cut before their first event again and again.
        """
        short = 0
        while (response := await self._open()) is not None:
            began, seen, silent = time.monotonic(), False, False
            try:
                async with aclosing(aiter(httpx2.EventSource(response, max_event_size=_LARGEST_FRAME))) as source:  # type: ignore[type-var]
                    async for frame in source:
                        self._heed(frame.retry)
                        if frame.data:
                            seen = True
                            yield frame
            except httpx2.ReadTimeout:
                silent = True
            except httpx2.TransportError:
                silent = False
            finally:
                await response.aclose()
            if silent and not seen:
                raise StreamUnavailable(self._held_back)
            short = 0 if seen or time.monotonic() - began > _SHORT else short + 1
            if short == _MOST_SHORT:
                msg = f"The event stream {self._url.path} was cut {short} times before its first event."
                raise StreamUnavailable(msg)
            await anyio.sleep(self._pause)

    async def _open(self) -> httpx2.Response | None:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        cursor = self._cursor()
        if cursor is not None:
            headers["Last-Event-ID"] = cursor
        try:
            response = await self._connection.send(
                "GET",
                self._url,
                headers=headers,
                stream=True,
                read=self._connection.silence,
                silence_passes=False,
            )
        except ServerUnreachable as error:
            if isinstance(error.__cause__, httpx2.ReadTimeout):
                raise StreamUnavailable(self._held_back) from error
            raise
        except RequestRefused as error:
            if error.status not in _REFUSALS:
                raise
            msg = f"The event stream {self._url.path} was refused with HTTP {error.status}."
            raise StreamUnavailable(msg) from error
        if response.status_code == 204:  # noqa: PLR2004 - the contract's end of a log
            await response.aclose()
            return None
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            await response.aclose()
            msg = f"{self._url.path} answered with {kind or 'no media type'} instead of an event stream."
            raise StreamUnavailable(msg)
        return response

    @property
    def _held_back(self) -> str:
        return f"The event stream {self._url.path} stays silent: something on the way holds it back."

    def _heed(self, retry: int | None) -> None:
        """Come back when the server asks for it, within reason."""
        if retry is not None and retry >= 0:
            self._pause = min(retry / 1000, _LONGEST_PAUSE)
