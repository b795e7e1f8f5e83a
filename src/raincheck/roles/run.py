"""One claim that this process works on, and why it may be asked to stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from raincheck.core.operation import Operation
    from raincheck.invocation import Invocation
    from raincheck.ports import Lease
    from raincheck.ports_functions import Executor, Kind
    from raincheck.roles.journal import Journal


class StopReason(Enum):
    """Why a run was asked to stop."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"
    DRAIN = "drain"
    LOST = "lost"


@dataclass(slots=True, eq=False)
class Run:
    """One claim that this process works on."""

    lease: Lease
    operation: Operation
    kind: Kind
    executor: Executor
    invocation: Invocation
    journal: Journal
    reason: StopReason | None = None
    failure: Exception | None = None
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = field(default=None)
    timing_out: asyncio.Task[bool] | None = None
