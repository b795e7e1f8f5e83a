"""What an operator wants to know of a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """A worker that holds leases."""

    worker: str
    leases: int
    first_expiry: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """Due operations of one kind in one queue."""

    kind: str
    queue: str
    count: int
    due_since: datetime


@dataclass(frozen=True, slots=True)
class Some:
    """A number of operations and the first of the moments they have in common."""

    count: int
    first: datetime | None


@dataclass(frozen=True, slots=True)
class Work:
    """What is held, what is due and waits, what falls due later, and what is past its deadline."""

    holders: list[Holder]
    waiting: list[Waiting]
    scheduled: Some
    overdue: Some
