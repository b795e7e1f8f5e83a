"""Hands the validated arguments of an accepted request to a first run in the same process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES = 64 << 20


class Handover:
    """A bounded memory of arguments by operation id; what is not there is validated again from the store.

    :param limit: how many are kept; 0 turns the hand-over off.
    :param most_bytes: how many bytes the requests of those may have had together; models take several times as much.
    """

    def __init__(self, limit: int = 1000, *, most_bytes: int = MOST_BYTES) -> None:
        self._limit = limit
        self._most_bytes = most_bytes
        self._bytes = 0
        self._values: dict[str, tuple[Mapping[str, Any], int]] = {}

    def give(self, operation_id: str, values: Mapping[str, Any], *, size: int = 0) -> None:
        """Keep arguments until they are taken; the oldest go when there are too many.

        :param size: bytes of the request.
        """
        if self._limit == 0 or size > self._most_bytes:
            return
        while self._values and (len(self._values) >= self._limit or self._bytes + size > self._most_bytes):
            self.take(next(iter(self._values)))
        self._values[operation_id] = values, size
        self._bytes += size

    def take(self, operation_id: str) -> Mapping[str, Any] | None:
        """Return the arguments once."""
        values, size = self._values.pop(operation_id, (None, 0))
        self._bytes -= size
        return values
