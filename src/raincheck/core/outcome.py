"""How a run ended, as a value, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from raincheck.core.operation import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The function returned; its value is rendered to bytes, or to a file that the store takes over.

    :param body: the rendered bytes; None where ``file`` is set.
    :param file: a file the function made. It is copied into the store before the outcome is recorded.
    """

    status_code: int = 200
    media_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """The function failed.

    :param retryable: whether the kind's ``Retry(on=…)`` covers the exception.
    :param traceback: for the log and the operator; never sent to a client.
    :param exception: the full name of its type, for traces.
    """

    error: Problem
    retryable: bool = False
    traceback: str | None = None
    exception: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedToRetry:
    """The function raised ``RetryLater``."""

    after: timedelta


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The run stopped because it was asked to (a cancel, a time limit, a drain, a lost lease)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """The child process ended without an outcome, such as by a signal from outside or a crash."""

    reason: str


Outcome = Returned | Raised | AskedToRetry | Interrupted | Died
