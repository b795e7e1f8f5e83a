"""Hands the validated arguments of an accepted request to a first run in the same process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Handover:
    """A bounded memory of arguments by operation id; what is not there is validated again from the store.

    :param limit: how many are kept; 0 turns the hand-over off.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._values: dict[str, Mapping[str, Any]] = {}

    def give(self, operation_id: str, values: Mapping[str, Any]) -> None:
        """Keep arguments until they are taken; the oldest go when there are too many."""
        if self._limit == 0:
            return
        if len(self._values) >= self._limit:
            del self._values[next(iter(self._values))]
        self._values[operation_id] = values

    def take(self, operation_id: str) -> Mapping[str, Any] | None:
        """Return the arguments once."""
        return self._values.pop(operation_id, None)
