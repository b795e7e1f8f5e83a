"""A stored file as a response, whole or in ranges."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.responses import FileResponse

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

_RANGES = re.compile(r"(?i:bytes)=(?:[ \t]*(?:[0-9]{1,18}-[0-9]{0,18}|-[0-9]{1,18})[ \t]*(?:,|$))+")
_NO_SUCH_PART = 416
_RANGE = re.compile(r"([0-9]+)-([0-9]+)")


class ReplayedFile(FileResponse):
    """A file that answers a ``Range`` it does not understand as if it were absent (RFC 9110 §14.2), not with 400."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the ranges that were asked for."""
        headers = [pair for pair in scope["headers"] if pair[0] != b"range" or _understood(pair[1].decode("latin-1"))]

        async def send_ours(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == _NO_SUCH_PART:
                # Starlette answers with a response of its own, which says nothing of the operation.
                message = {**message, "headers": [*message["headers"], *filter(_of_operation, self.raw_headers)]}
            await send(message)

        await super().__call__({**scope, "headers": headers}, receive, send_ours)


def _of_operation(header: tuple[bytes, bytes]) -> bool:
    return header[0].startswith(b"operation-") or header[0] == b"cache-control"


def _understood(text: str) -> bool:
    if _RANGES.fullmatch(text) is None:
        return False
    return all(int(first) <= int(last) for first, last in _RANGE.findall(text))
