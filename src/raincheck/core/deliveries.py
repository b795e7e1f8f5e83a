"""Webhook deliveries: the durable record, what one attempt sends, and what it found."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from raincheck.core.endpoints import receiver_of

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from raincheck.core.endpoints import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One attempt, ready to be signed and sent.

    :param id: the ``webhook-id``, the same in all attempts of a delivery.
    :param secrets: ``whsec_…`` texts, newest first; each gives a signature, so that a receiver can rotate.
    :param allow: patterns of URLs that may be called, such as ``https://*.example.com``; ``*`` allows all.
    :param private_networks: whether addresses that are not on the public internet, and plain http, may be called.
    :param origin: the host that asks the receiver for its consent first; empty asks nothing.
    :param traceparent: the span of this attempt, which the receiver may go on from; empty sends none.
    """

    id: str
    url: str
    body: bytes
    sent_at: datetime
    secrets: tuple[str, ...] = field(repr=False)
    allow: tuple[str, ...] = ("*",)
    private_networks: bool = False
    origin: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What one attempt found. A receiver that answered has a status; else ``failure`` says what went wrong.

    :param failure: a stable code: ``refused-url``, ``refused-address``, ``unresolved``, ``unreachable``, ``timeout``,
        ``tls``, ``malformed-answer``, ``not-agreed`` (the handshake), ``misconfigured`` (a secret or a pattern),
        ``unexpected`` (a defect, logged).
    :param detail: one line for the operator; never shown to callers.
    :param retry_after: what the receiver asked for.
    :param excerpt: the beginning of the answer's body, for the operator only.
    """

    latency: timedelta
    status: int | None = None
    failure: str | None = None
    detail: str = ""
    retry_after: timedelta | None = None
    excerpt: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the receiver took it (2xx)."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - RFC 9110 §15.3


class DeliveryStatus(StrEnum):
    """Where a delivery stands. ``paused`` waits for its endpoint to be enabled; the last two are ends."""

    PENDING = "pending"
    SENDING = "sending"
    PAUSED = "paused"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One attempt as the log keeps it; ``detail`` and ``excerpt`` are the operator's."""

    at: datetime
    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one URL; written in the transaction of the event.

    :param id: the ``webhook-id``; the same facts give the same id.
    :param version: the operation's version at the event.
    :param created_at: when the event happened.
    :param run: the fencing number of its leases.
    :param tries: attempts that failed since it was made or last asked for again.
    :param log: the newest attempts, oldest first.
    """

    id: str
    operation: str
    source: Source
    url: str
    event: str
    version: int
    created_at: datetime
    due_at: datetime
    status: DeliveryStatus = DeliveryStatus.PENDING
    run: int = 0
    tries: int = 0
    log: tuple[Tried, ...] = ()
    worker: str | None = None
    lease_until: datetime | None = None
    finished_at: datetime | None = None

    @property
    def receiver(self) -> str:
        """Scheme, host and port: what is slow or dead together."""
        return receiver_of(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a URL has answered lately; one that is healthy has no moments.

    :param failing_since: the first failure after the last success.
    :param reason: why it was disabled, for the operator.
    """

    url: str
    failing_since: datetime | None = None
    last_failed_at: datetime | None = None
    disabled_at: datetime | None = None
    reason: str = ""

    @property
    def disabled(self) -> bool:
        """Whether nothing is sent there until somebody enables it."""
        return self.disabled_at is not None
