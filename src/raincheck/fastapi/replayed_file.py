"""A stored file as a response, whole or in ranges."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.responses import FileResponse

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_RANGES = re.compile(r"(?i:bytes)=(?:[ \t]*(?:[0-9]{1,18}-[0-9]{0,18}|-[0-9]{1,18})[ \t]*(?:,|$))+")
_RANGE = re.compile(r"([0-9]+)-([0-9]+)")


class ReplayedFile(FileResponse):
    """A file that answers a ``Range`` it does not understand as if it were absent (RFC 9110 §14.2), not with 400."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the ranges that were asked for."""
        headers = [pair for pair in scope["headers"] if pair[0] != b"range" or _understood(pair[1].decode("latin-1"))]
        await super().__call__({**scope, "headers": headers}, receive, send)


def _understood(text: str) -> bool:
    if _RANGES.fullmatch(text) is None:
        return False
    return all(int(first) <= int(last) for first, last in _RANGE.findall(text))
