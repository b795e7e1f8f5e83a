"""Says that something does not work: once, again now and then while it lasts, and once when it works again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

_REMINDER = 60.0


class Trouble:
    """The trouble of one role. A disk that is full for an hour must not fill the log, which is often on it.

    :param what: names what fails, such as ``leases could not be renewed``.
    """

    def __init__(
        self,
        logger: logging.Logger,
        what: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._what = what
        self._monotonic = monotonic
        self._since: float | None = None
        self._silent_until = 0.0
        self._unsaid = 0

    def met(self, error: Exception) -> None:
        """Warn of the first failure, then once a minute with the number of those in between."""
        now = self._monotonic()
        if self._since is None:
            self._since, self._silent_until, self._unsaid = now, now + _REMINDER, 0
            self._logger.warning("%s, trying again: %s", self._what, error)
        elif now < self._silent_until:
            self._unsaid += 1
        else:
            self._silent_until = now + _REMINDER
            self._logger.warning("%s for %.0f s, %d tries: %s", self._what, now - self._since, self._unsaid + 1, error)
            self._unsaid = 0

    def over(self) -> None:
        """Say that it works again, if it did not."""
        if self._since is not None:
            self._logger.warning("it works again after %.1f s: %s", self._monotonic() - self._since, self._what)
            self._since = None
