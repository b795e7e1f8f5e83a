"""What callers want written: a value for each wish, so that a batch of them is read and written as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future as ThreadFuture

    from raincheck.core.operation import Operation
    from raincheck.core.transitions import Change
    from raincheck.ports import Claim
    from raincheck.stores.sqlite.page import Page


@dataclass(slots=True, eq=False, kw_only=True)
class Unit:
    """One wish, and what became of it. It may be tried twice (a failed batch is run again one by one)."""

    turn: ClassVar[int]
    future: asyncio.Future[Any] | ThreadFuture[Any] | None = None
    result: Any = None
    changes: Sequence[Change] = ()
    error: BaseException | None = None

    def forget_outcome(self) -> None:
        """Be as if it had not been tried."""
        self.result, self.changes, self.error = None, (), None


@dataclass(slots=True, eq=False, kw_only=True)
class Submit(Unit):
    """Accept a new operation, leased to the claim if nothing goes before it."""

    turn = 0
    operation: Operation
    claim: Claim | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Alter(Unit):
    """Apply a transition to one operation."""

    turn = 1
    operation_id: str
    transition: Callable[[Operation], Change | None]


@dataclass(slots=True, eq=False, kw_only=True)
class Work(Unit):
    """Anything else; it comes after the submits and transitions of its batch and sees them in the database."""

    turn = 2
    apply: Callable[[Page], tuple[Any, Sequence[Change]]]
