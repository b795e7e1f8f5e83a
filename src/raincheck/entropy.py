"""Random bytes for ids: the kernel is asked for many at once, since each call costs as much as the id itself."""

from __future__ import annotations

import os

_BLOCK = 4096


class Entropy:
    """A buffer of cryptographic random bytes that a forked child never shares."""

    def __init__(self) -> None:
        self._buffer = b""
        self._position = 0
        self._process = os.getpid()

    def take(self, count: int) -> bytes:
        """Return fresh random bytes."""
        end = self._position + count
        if end > len(self._buffer) or self._process != os.getpid():
            self._process = os.getpid()
            self._buffer = os.urandom(max(_BLOCK, count))
            self._position, end = 0, count
        found = self._buffer[self._position : end]
        self._position = end
        return found
