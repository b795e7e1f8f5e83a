"""Which headers of an answer are kept with a result and replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# RFC 9110 §7.6.1 and the older RFC 2616 §13.5.1: meant for one connection only.
_HOP_BY_HOP = frozenset({
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
})  # fmt: skip
_OF_ONE_ANSWER = frozenset({"set-cookie", "content-length", "content-type", "date", "server"})
_DROPPED = _HOP_BY_HOP | _OF_ONE_ANSWER


def kept_headers(headers: Iterable[tuple[str, str]], *, but: Collection[str] = ()) -> tuple[tuple[str, str], ...]:
    """Return the headers that may be sent again: no cookies, nothing of one connection or one answer.

    :param but: further names to leave out, lower case.
    """
    lowered = ((name.lower(), name, value) for name, value in headers)
    return tuple((name, value) for lower, name, value in lowered if lower not in _DROPPED and lower not in but)
