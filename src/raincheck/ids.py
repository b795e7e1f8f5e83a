"""Makes operation ids: the kernel is asked for random bytes in bulk, since each call costs as much as the id itself."""

from __future__ import annotations

import os

from raincheck.core.names import TAIL, random_letters, time_ordered_id

_BLOCK = 200 * TAIL


class Ids:
    """A buffer of cryptographic random characters that a forked child never shares."""

    def __init__(self) -> None:
        self._letters = ""
        self._position = 0
        self._process = 0

    def at(self, milliseconds: int) -> str:
        """Return a fresh id.

        :param milliseconds: milliseconds since 1970; ids sort by it.
        """
        end = self._position + TAIL
        if end > len(self._letters) or self._process != os.getpid():
            self._process = os.getpid()
            self._letters = random_letters(os.urandom(_BLOCK))
            self._position, end = 0, TAIL
        tail = self._letters[self._position : end]
        self._position = end
        return time_ordered_id(milliseconds, tail)
