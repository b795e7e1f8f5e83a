"""Responses whose bytes and headers are known when they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

_WITHOUT_LENGTH = frozenset({204, 304})  # RFC 9110 §8.6, and those below 200


class ReadyResponse(Response):
    """A response as it is sent; spares what Response does to find its headers.

    :param headers: names in lower case.
    """

    def __init__(self, body: bytes, status_code: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.status_code = status_code
        self.background = None
        self.body = body
        self.raw_headers = [*headers]
        if status_code >= 200 and status_code not in _WITHOUT_LENGTH:  # noqa: PLR2004
            self.raw_headers.append((b"content-length", b"%d" % len(body)))
