"""When a failed attempt may be tried again, and after how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from raincheck.core.quantities import LARGEST_COUNT, duration

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waits with jitter: ``first * factor ** (n - 1)``, at most ``longest``, spread by ``jitter``.

    :param jitter: share of the wait, 0 to 1, that is drawn at random around it.
    """

    first: timedelta | float | str = 1.0
    factor: float = 2.0
    longest: timedelta | float | str = 300.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        duration(self.first)
        duration(self.longest)
        if self.factor < 1 or not 0 <= self.jitter <= 1:
            msg = f"Backoff(factor={self.factor}, jitter={self.jitter}): factor must be >= 1 and jitter within 0..1"
            raise ValueError(msg)

    def wait(self, failures: int, *, chance: float) -> timedelta:
        """Return the wait after the given number of failures; ``chance`` is a random number in [0, 1)."""
        longest = duration(self.longest).total_seconds()
        try:
            plain = min(longest, duration(self.first).total_seconds() * self.factor ** (failures - 1))
        except OverflowError:
            plain = longest
        return timedelta(seconds=plain * (1 + self.jitter * (2 * chance - 1)))


@dataclass(frozen=True, slots=True)
class Retry:
    """How often the code may fail, and what counts as worth another try.

    :param attempts: tries in all, at least 1. Lost workers, drains and ``RetryLater`` do not count.
    :param backoff: a ``Backoff``, fixed seconds or text, or ``callable(failures) -> seconds``.
    :param on: exception classes that are retried. HTTPException, OperationFailed, deadlines and results
        that do not match their annotation never are.
    """

    attempts: int = 1
    backoff: Backoff | timedelta | float | str | Callable[[int], float] = Backoff()
    on: tuple[type[BaseException], ...] = (Exception,)

    def __post_init__(self) -> None:
        attempts: object = self.attempts
        if isinstance(attempts, bool) or not isinstance(attempts, int) or not 1 <= attempts <= LARGEST_COUNT:
            msg = (
                f"Retry(attempts={self.attempts!r}): attempts counts the first try too, so it must be at least 1, and "
                f"at most {LARGEST_COUNT}"
            )
            raise ValueError(msg)
        if isinstance(self.backoff, (timedelta, int, float, str)):
            duration(self.backoff)
        kinds: object = self.on
        if not isinstance(kinds, tuple) or not all(
            isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds
        ):
            msg = f"Retry(on={kinds!r}) must be a tuple of exception classes, such as on=(ConnectionError,)"
            raise TypeError(msg)

    def wait(self, failures: int, *, chance: float) -> timedelta:
        """Return how long to wait after the given number of failures; ``chance`` is random in [0, 1)."""
        match self.backoff:
            case Backoff():
                return self.backoff.wait(failures, chance=chance)
            case timedelta() | int() | float() | str():
                return duration(self.backoff)
            case _:
                return duration(self.backoff(failures))
