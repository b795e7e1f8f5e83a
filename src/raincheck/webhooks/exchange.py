"""One request to one judged address, and what came back.

Only the low-level client is used: it knows no redirects, cookies, environment proxies, decompression or shared
connections, so none of them needs to be switched off. This module needs the extra ``webhooks``.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import httpcore2

from raincheck.webhooks.attempts import AttemptFailed, MalformedAnswer, TlsFailed, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raincheck.webhooks.addresses import Address
    from raincheck.webhooks.attempts import Answer, Limits
    from raincheck.webhooks.guard import Target


async def connect(
    target: Target, addresses: Sequence[Address], *, ssl_context: ssl.SSLContext, limits: Limits
) -> httpcore2.AsyncNetworkStream:
    """Return a connection to the first of the addresses that takes it, encrypted for the target's own name.

    :raises AttemptFailed: none takes it, or the receiver cannot prove its name.
    """
    stream = await _first_open(addresses[: limits.addresses], target.port, limits)
    if target.scheme == "http":
        return stream
    try:
        return await stream.start_tls(ssl_context, server_hostname=target.host.strip("[]"))
    except (httpcore2.ConnectError, OSError) as error:
        msg = f"no encrypted connection: {_innermost(error)}"
        raise TlsFailed(msg) from error
    except BaseException:
        await stream.aclose()  # the library leaves it open when the attempt's limit ends the handshake
        raise


async def _first_open(addresses: Sequence[Address], port: int, limits: Limits) -> httpcore2.AsyncNetworkStream:
    backend = httpcore2.AnyIOBackend()
    failures = []
    for position, address in enumerate(addresses, start=1):
        # The last one may take what is left of the attempt's own limit.
        limit = limits.connect.total_seconds() if position < len(addresses) else None
        try:
            async with asyncio.timeout(limit):
                return await backend.connect_tcp(str(address), port)
        except TimeoutError:
            failures.append(f"{address}: no answer")
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout, OSError) as error:
            failures.append(f"{address}: {_innermost(error)}")
    msg = f"no connection to port {port}; " + "; ".join(failures)
    raise Unreachable(msg)


async def exchange(
    connection: httpcore2.AsyncNetworkStream,
    target: Target,
    *,
    headers: Mapping[str, str],
    body: bytes,
    limits: Limits,
    answer: Answer,
    method: str = "POST",
) -> None:
    """Send a body, fill in the answer as it arrives (a cut-off one keeps what it told), and close the connection.

    :raises AttemptFailed: the connection ended, or told something else than HTTP, before a status was known.
    """
    stream = _Counted(connection, most=limits.body + limits.overhead)
    url = httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
    request = httpcore2.Request(method, url, headers=list(headers.items()), content=body)
    http = _Connection(origin=url.origin, stream=stream)
    try:
        response = await http.handle_async_request(request)
        for name, value in response.headers:
            answer.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        answer.status = response.status
        await _read(response, answer, most=limits.body)
    except (httpcore2.ProtocolError, httpcore2.NetworkError, _TooMuch, OSError) as error:
        if answer.status is None:
            raise _failure(error, received=stream.received) from error
        answer.note = "the answer was cut off"
    finally:
        await http.aclose()


async def _read(response: httpcore2.Response, answer: Answer, *, most: int) -> None:
    async with aclosing(response.aiter_stream()) as chunks:
        async for chunk in chunks:
            answer.body += chunk[: most - len(answer.body)]
            if len(answer.body) >= most:
                answer.note = f"the answer is longer than {most} bytes"
                return


def _failure(error: Exception, *, received: int) -> AttemptFailed:
    if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)):
        return TlsFailed(f"the encrypted connection broke: {_innermost(error)}")
    if isinstance(error, _TooMuch):
        return MalformedAnswer("the answer's headers do not end")
    if isinstance(error, httpcore2.ProtocolError) and received:
        return MalformedAnswer(f"the answer is not HTTP: {error}")
    return Unreachable("the connection ended before an answer came")


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__
    return found


def _innermost(error: BaseException) -> str:
    """Return what the operating system or OpenSSL said; the layers above it only repeat it."""
    causes = _causes(error)
    told = next((cause for cause in causes if isinstance(cause, OSError)), causes[-1])
    if isinstance(told, ssl.SSLCertVerificationError):
        return told.verify_message
    return str(told) or type(told).__name__


class _TooMuch(Exception):
    """The answer is larger than what is read of one."""


class _Connection(httpcore2.AsyncHTTP11Connection):
    """Keeps less of an unfinished header than the library would."""

    READ_NUM_BYTES = 16 << 10
    MAX_INCOMPLETE_EVENT_SIZE = 32 << 10


class _Counted(httpcore2.AsyncNetworkStream):
    """Ends an answer that does not end: informational responses, headers, chunks and trailers count alike."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream, *, most: int) -> None:
        self._stream = stream
        self._most = most
        self.received = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the library's own
        if self.received >= self._most:
            raise _TooMuch
        data = await self._stream.read(max_bytes, timeout)
        self.received += len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the library's own
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
