"""Webhook deliveries: what one attempt sends, and what it found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One attempt, ready to be signed and sent.

    :param id: the ``webhook-id``, the same in all attempts of a delivery.
    :param secrets: ``whsec_…`` texts, newest first; each gives a signature, so that a receiver can rotate.
    :param allow: patterns of URLs that may be called, such as ``https://*.example.com``; ``*`` allows all.
    :param private_networks: whether addresses that are not on the public internet, and plain http, may be called.
    """

    id: str
    url: str
    body: bytes
    sent_at: datetime
    secrets: tuple[str, ...] = field(repr=False)
    allow: tuple[str, ...] = ("*",)
    private_networks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What one attempt found. A receiver that answered has a status; else ``failure`` says what went wrong.

    :param failure: a stable code: ``refused-url``, ``refused-address``, ``unresolved``, ``unreachable``, ``timeout``,
        ``tls``, ``malformed-answer``, ``misconfigured`` (a secret or a pattern), ``unexpected`` (a defect, logged).
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
