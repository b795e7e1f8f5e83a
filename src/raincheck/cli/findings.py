"""What a check of ``raincheck doctor`` found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raincheck.core.errors import StoreError


class Level(StrEnum):
    """How bad it is. Only a problem changes the exit code."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, and what to do about it."""

    check: str
    level: Level
    message: str
    remedy: str | None = None


def ok(check: str, message: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(check, Level.OK, message)


def warning(check: str, message: str, remedy: str) -> Finding:
    """Return a finding to look into when there is time."""
    return Finding(check, Level.WARNING, message, remedy)


def problem(check: str, message: str, remedy: str) -> Finding:
    """Return a finding to act on."""
    return Finding(check, Level.PROBLEM, message, remedy)


def refused(error: StoreError) -> Finding:
    """Return a problem whose first sentence is what is wrong, and whose rest is what to do."""
    message, _, remedy = str(error).partition(". ")
    return problem("store", message + ".", remedy)
