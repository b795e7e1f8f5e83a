"""One attempt under way: its limits, the answer as it arrives, and why none came."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of anything one attempt takes, beside the time of the whole.

    :param connect: for one address while others are left to try.
    :param addresses: how many of a host's addresses are tried.
    :param body: bytes of the answer's body that are read.
    :param overhead: bytes beside the body: status lines, headers, the framing of chunks.
    """

    connect: timedelta
    addresses: int = 4
    body: int = 64 << 10
    overhead: int = 64 << 10


@dataclass(slots=True)
class Answer:
    """What has arrived of an answer; it counts from the moment that its status is known."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    note: str = ""


class AttemptFailed(Exception):
    """No answer came; the message is one line for the operator."""

    code: ClassVar[str]


class Misconfigured(AttemptFailed):
    """A secret or a pattern cannot be used, so nothing was sent."""

    code = "misconfigured"


class NotAgreed(AttemptFailed):
    """The receiver was asked whether it wants webhooks, and does not say yes."""

    code = "not-agreed"


class Unresolved(AttemptFailed):
    """The host's name leads to no address."""

    code = "unresolved"


class Unreachable(AttemptFailed):
    """No connection, or one that ended before an answer came."""

    code = "unreachable"


class TlsFailed(AttemptFailed):
    """The receiver cannot prove its name, or speaks no TLS."""

    code = "tls"


class MalformedAnswer(AttemptFailed):
    """What came is not HTTP, or does not come to its point."""

    code = "malformed-answer"
