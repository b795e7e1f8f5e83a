"""How many attempts a receiver gets at once: more while it answers, one now and then while it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_ROOM = 4
_LARGEST_ROOM = 20
_DEAD_AFTER = 3
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 60.0
_REMEMBERED = 10_000


@dataclass(slots=True)
class _Receiver:
    window: int = FIRST_ROOM
    under_way: int = 0
    silent: int = 0  # attempts in a row that nobody answered
    shut_until: float = 0.0


class Receivers:
    """A window for each receiver, so that a dead one holds few slots and delays no other.

    An answer, also a refusal, opens it by one. Silence (no connection, no answer in time) halves it, and three times
    in a row shut it for 5 seconds, then for up to a minute; after each pause one attempt tries.

    :param monotonic: seconds that never go back.
    """

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._known: dict[str, _Receiver] = {}

    @property
    def rooms(self) -> dict[str, int]:
        """How many more attempts each receiver takes now; those not named take ``FIRST_ROOM``."""
        now = self._monotonic()
        return {
            name: 0 if found.shut_until > now else max(0, found.window - found.under_way)
            for name, found in self._known.items()
        }

    def began(self, name: str) -> None:
        """Count an attempt that is under way."""
        self._known.setdefault(name, _Receiver()).under_way += 1

    def ended(self, name: str, *, answered: bool | None) -> bool:
        """Learn how an attempt ended; None where it tells nothing of the receiver. True when there is room for more."""
        receiver = self._known.setdefault(name, _Receiver())
        receiver.under_way = max(0, receiver.under_way - 1)
        if answered:
            receiver.window = min(_LARGEST_ROOM, receiver.window + 1)
            receiver.silent, receiver.shut_until = 0, 0.0
        elif answered is not None:
            self._note_silence(receiver)
        if receiver.under_way == 0 and receiver.silent == 0:
            del self._known[name]
        elif len(self._known) > _REMEMBERED:
            self._forget_one()
        # Half a window at a time: taking one as each ends would be a transaction for each.
        return receiver.under_way <= receiver.window // 2

    def _note_silence(self, receiver: _Receiver) -> None:
        receiver.silent += 1
        receiver.window = max(1, receiver.window // 2)
        if receiver.silent >= _DEAD_AFTER:
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(10, receiver.silent - _DEAD_AFTER))
            receiver.shut_until = self._monotonic() + pause

    def _forget_one(self) -> None:
        idle = next((name for name, receiver in self._known.items() if receiver.under_way == 0), None)
        if idle is not None:
            del self._known[idle]
