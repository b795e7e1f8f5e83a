"""When an engine must be told of a queued operation: pure functions, which the stores repeat in SQL.

A queued record carries one moment, ``dispatch_at``: from then on the engine must be told, or told again. It is written
with the record, so between a record and its message nothing is ever lost: whoever finds the moment passed tells the
engine. None means that no engine is concerned.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from raincheck.core.operation import Status

if TYPE_CHECKING:
    from datetime import datetime

    from raincheck.core.operation import Operation

PATIENCE = timedelta(seconds=10)
PATIENCE_IN_A_DATABASE = timedelta(seconds=30)
"""For engines whose messages count with the transaction of the record: a crash loses none, only a flush does."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an engine can do.

    :param delays: it keeps a message until a moment; else it is told of an operation only when that is due.
    :param patience: how long a due operation may wait before the engine is told again.
    """

    delays: bool
    patience: timedelta = PATIENCE


def dispatched_at_once(operation: Operation, terms: Terms) -> bool:
    """Tell whether the process that has queued a record tells the engine right away."""
    return terms.delays or operation.run_at <= operation.updated_at


def first_moment(operation: Operation, terms: Terms | None) -> datetime | None:
    """Return the moment of a record that has just been written; None unless it is queued under an engine."""
    if terms is None or operation.status is not Status.QUEUED:
        return None
    if dispatched_at_once(operation, terms):
        return max(operation.run_at, operation.updated_at) + terms.patience
    return operation.run_at


def next_moment(*, run_at: datetime, now: datetime, patience: timedelta) -> datetime:
    """Return the moment after the engine was told again: as long again as the operation has waited.

    So a backlog makes few messages for each operation (four in a wait of two minutes), and messages that a broker
    lost at most double the wait.
    """
    return now + max(patience, now - run_at)
