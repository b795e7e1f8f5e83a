"""Whether a receiver agrees to be called: the validation handshake of CloudEvents' HTTP webhooks (1.0, §4).

A signature protects receivers that verify it. A caller may name a URL whose owner expects nothing; the handshake asks
there first, with a request that changes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from raincheck.webhooks.attempts import NotAgreed

if TYPE_CHECKING:
    from collections.abc import Callable

    from raincheck.webhooks.attempts import Answer

_HOLDS = 3600.0  # seconds; a receiver that changes its mind is asked again after that
_REMEMBERED = 10_000
_OK = range(200, 300)


class Consents:
    """The URLs that have agreed lately; bounded, and gone with the process.

    :param clock: seconds that never go back.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: OrderedDict[tuple[str, str], float] = OrderedDict()

    def holds(self, url: str, origin: str) -> bool:
        """Tell whether the URL has agreed to be called by the origin, within the last hour."""
        return self._until.get((url, origin), float("-inf")) > self._clock()

    def note(self, url: str, origin: str) -> None:
        """Remember that it agreed."""
        self._until[url, origin] = self._clock() + _HOLDS
        self._until.move_to_end((url, origin))
        if len(self._until) > _REMEMBERED:
            self._until.popitem(last=False)


def question(origin: str) -> dict[str, str]:
    """Return the headers that ask for consent."""
    return {"WebHook-Request-Origin": origin}


def check_agreed(answer: Answer, *, origin: str) -> None:
    """Read the answer to the question.

    :raises NotAgreed: it is no 2xx, or allows neither the origin nor ``*``.
    """
    allowed = answer.headers.get("webhook-allowed-origin", "").strip().lower()
    if answer.status not in _OK or allowed not in ("*", origin.lower()):
        msg = (
            f"the receiver has not agreed to be called: it must answer OPTIONS with 2xx and WebHook-Allowed-Origin: "
            f"{origin}, and answered {answer.status}"
        )
        raise NotAgreed(msg)
