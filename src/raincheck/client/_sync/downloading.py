# Generated from ../_async by tools/generate_sync_client.py: change the asynchronous side.
"""Results as files: whole or not at all, and a cut transfer goes on where it stopped."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

import httpx2

from raincheck.client.errors import ServerUnreachable

if TYPE_CHECKING:
    from raincheck.client._sync.connection import Connection

_MOST_CUTS = 10
_NO_SUCH_PART = 416  # RFC 9110 §15.5.17


def save_to(path: str | os.PathLike[str], connection: Connection, url: httpx2.URL) -> int:
    """Write what a URL answers to a file and return the number of bytes.

    :raises ServerUnreachable: it was cut again and again.
    """
    target = Path(path)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        try:
            size = _transferred(file, connection, url)
            os.replace(file.name, target)  # noqa: PTH105 - the temporary file has a name, not a path
        except BaseException:
            _remove(file.name)
            raise
    return size


def _transferred(file: IO[bytes], connection: Connection, url: httpx2.URL) -> int:
    etag = ""
    for _ in range(_MOST_CUTS):
        size = file.tell()
        # Compressed answers have no parts that could be asked for.
        headers = {"Accept-Encoding": "identity"}
        if size and etag:
            headers |= {"Range": f"bytes={size}-", "If-Range": etag}
        response = connection.send("GET", url, headers=headers, stream=True)
        try:
            if response.status_code == _NO_SUCH_PART and size:
                if response.headers.get("content-range") == f"bytes */{size}":
                    file.flush()
                    return size  # the cut came after the last byte
                etag = ""
                continue
            if response.status_code != 206:  # noqa: PLR2004 - RFC 9110 §15.3.7: a part
                file.seek(0)
                file.truncate()
            etag = response.headers.get("etag", "")
            for chunk in response.iter_bytes():
                file.write(chunk)
        except httpx2.TransportError:
            continue
        finally:
            response.close()
        file.flush()
        return file.tell()
    msg = f"{url} was cut {_MOST_CUTS} times. Is something on the way limiting the time of a transfer?"
    raise ServerUnreachable(msg)


def _remove(name: str) -> None:
    Path(name).unlink(missing_ok=True)
