"""Sends webhooks over HTTP: one attempt, judged, signed and bounded."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING

from raincheck.core.deliveries import Attempt
from raincheck.core.errors import ConfigurationError, NotStarted
from raincheck.webhooks.answers import excerpt, one_line, retry_after
from raincheck.webhooks.attempts import Answer, AttemptFailed, Limits, Misconfigured, Unresolved
from raincheck.webhooks.consent import Consents, check_agreed, question
from raincheck.webhooks.guard import AddressRefused, UrlRefused, judge_addresses, judge_url
from raincheck.webhooks.hosts import MISSING_EXTRA
from raincheck.webhooks.resolving import SystemResolver
from raincheck.webhooks.sign import Signer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from raincheck.core.deliveries import Message
    from raincheck.webhooks.addresses import Address
    from raincheck.webhooks.guard import Target
    from raincheck.webhooks.resolving import Resolver

WHOLE_ATTEMPT = timedelta(seconds=15)
ONE_CONNECT = timedelta(seconds=4)
logger = logging.getLogger("raincheck.webhooks")


class HttpDeliverer:
    """A ``Deliverer`` (see ``raincheck.ports``) for the event loop that started it; any number of sends at once.

    Receivers see one POST of ``application/json`` for each attempt, over a connection of its own. Certificates are
    checked against the system's authorities; ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name others.

    :param resolver: finds the addresses of names; the system's by default.
    :param ssl_context: replaces the system's authorities.
    :param whole_attempt: the limit of an attempt, from the lookup to the end of the answer.
    """

    def __init__(
        self,
        *,
        resolver: Resolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
        whole_attempt: timedelta = WHOLE_ATTEMPT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver = resolver or SystemResolver()
        self._given_context = ssl_context
        self._ssl_context: ssl.SSLContext | None = None
        self._whole = whole_attempt
        self._clock = clock
        self._consents = Consents(clock=clock)
        self._agent = "Raincheck"

    async def start(self) -> None:
        """Get ready to send.

        :raises ConfigurationError: the extra ``webhooks`` is not installed.
        """
        try:
            import httpcore2  # noqa: F401, PLC0415 - of the extra, so imported where it is used
            import idna  # noqa: F401, PLC0415
            import standardwebhooks  # noqa: F401, PLC0415
        except ImportError as error:
            raise ConfigurationError(MISSING_EXTRA) from error
        # Reading the authorities takes tens of milliseconds of disk and parsing.
        self._ssl_context = self._given_context or await asyncio.to_thread(_system_authorities)
        self._agent = f"Raincheck/{version('raincheck')}"

    async def stop(self) -> None:
        """Refuse to send from now on; attempts under way go on to their own limit."""
        self._ssl_context = None

    async def send(self, message: Message) -> Attempt:
        """Make one attempt; whatever the URL, the network or the receiver did is in the value.

        :raises NotStarted: ``start`` was not awaited.
        """
        if self._ssl_context is None:
            msg = "The deliverer sends nothing before start() and after stop()."
            raise NotStarted(msg)
        started = self._clock()
        answer = Answer()
        failure, detail = None, ""
        try:
            async with asyncio.timeout(self._whole.total_seconds()):
                await self._attempt(message, answer, self._ssl_context)
        except Exception as error:  # noqa: BLE001 - the port promises an attempt, and a defect is logged below
            failure, detail = _failure(error)
        latency = timedelta(seconds=self._clock() - started)
        if answer.status is None:
            return Attempt(latency=latency, failure=failure, detail=one_line(detail))
        return _answered(answer, latency=latency, message=message, unfinished=failure is not None)

    async def _attempt(self, message: Message, answer: Answer, ssl_context: ssl.SSLContext) -> None:
        from raincheck.webhooks.exchange import connect, exchange  # noqa: PLC0415 - needs the extra

        limits = Limits(connect=min(ONE_CONNECT, self._whole / 3))
        try:
            target = judge_url(message.url, allow=message.allow, private_networks=message.private_networks)
            headers = self._headers(message, target)
        except (ConfigurationError, ValueError) as error:
            raise Misconfigured(str(error)) from error
        # From here on only these addresses count: nothing looks the name up again.
        found = await self._addresses(target)
        addresses = judge_addresses(found, private_networks=message.private_networks)
        if message.origin and not self._consents.holds(message.url, message.origin):
            agreed = Answer()
            connection = await connect(target, addresses, ssl_context=ssl_context, limits=limits)
            asked = self._common(target) | question(message.origin)
            await exchange(connection, target, method="OPTIONS", headers=asked, body=b"", limits=limits, answer=agreed)
            check_agreed(agreed, origin=message.origin)
            self._consents.note(message.url, message.origin)
        connection = await connect(target, addresses, ssl_context=ssl_context, limits=limits)
        await exchange(connection, target, headers=headers, body=message.body, limits=limits, answer=answer)

    def _headers(self, message: Message, target: Target) -> dict[str, str]:
        signed = Signer(message.secrets).headers(message_id=message.id, sent_at=message.sent_at, body=message.body)
        about = {"Content-Type": "application/json", "Content-Length": str(len(message.body))}
        if message.traceparent:
            about["traceparent"] = message.traceparent
        return self._common(target) | about | signed

    def _common(self, target: Target) -> dict[str, str]:
        return {
            "Host": target.authority,
            "Accept-Encoding": "identity",
            "Connection": "close",
            "User-Agent": self._agent,
        }

    async def _addresses(self, target: Target) -> Sequence[Address]:
        if target.address is not None:
            return [target.address]
        try:
            return await self._resolver.resolve(target.host, target.port)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            msg = f"the host's name is not known: {reason}"
            raise Unresolved(msg) from error


def _failure(error: Exception) -> tuple[str, str]:
    """Return the stable code and the operator's line of what ended an attempt."""
    match error:
        case TimeoutError():
            return "timeout", "the receiver took too long"
        case UrlRefused() | AddressRefused() | AttemptFailed():
            return error.code, str(error)
    logger.error("A webhook could not be sent for a reason that nobody foresaw.", exc_info=error)
    return "unexpected", f"{type(error).__name__}: {error}"


def _answered(answer: Answer, *, latency: timedelta, message: Message, unfinished: bool) -> Attempt:
    """Return the attempt of a receiver that told its status: it counts, even where the body did not come in time."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    note = "the answer took too long" if unfinished else answer.note
    if encoding not in ("", "identity"):
        # Decompressing what an unknown receiver sends would let a small answer become a huge one.
        note = f"the answer is compressed ({encoding}) and not shown"
    return Attempt(
        latency=latency,
        status=answer.status,
        detail=one_line(note),
        retry_after=retry_after(answer.headers.get("retry-after"), now=message.sent_at + latency),
        excerpt="" if encoding not in ("", "identity") else excerpt(bytes(answer.body)),
    )


def _system_authorities() -> ssl.SSLContext:
    import httpcore2  # noqa: PLC0415 - of the extra, so imported where it is used

    context = httpcore2.default_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
