"""The ports of engines: who brings queued operations to working processes, and what the store keeps for that.

A message of an engine holds an operation id and nothing else. It is a hint, as a signal is: the store decides what
runs, by the lease, and what the engine loses, doubles or delays costs time, never work. So an engine may deliver as it
likes, and its own retries, visibility time-outs and results decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from raincheck.core.dispatch_rules import Terms
    from raincheck.core.operation import Operation
    from raincheck.ports_functions import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """An operation that an engine is to bring to a worker.

    :param id: all that the message says.
    :param run: how often it was claimed so far; ``(id, run)`` names one wait in the queue, for engines that can tell
        whether they hold such a message already.
    :param priority: higher goes first.
    :param not_before: when it falls due; in the past: now.
    """

    id: str
    run: int
    kind: str
    queue: str
    priority: int
    not_before: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Messages that a working process wants: those of one kind in one queue.

    :param executor: whose free slots they take.
    """

    queue: str
    kind: str
    executor: str


class Desk(Protocol):
    """Where an engine hands in what it brings; Raincheck makes one in each working process.

    1. ``room`` waits until the executor has a free slot, and returns how many there are; 0 once the desk has closed.
    2. ``expect`` keeps slots free for messages that are about to be handed in, one for each ``take``.
    3. ``take`` returns when the operation has begun here, or when there is nothing to do for this message: it is
       running or done, unknown, or not due. From then on the message is spent, and the lease takes its place. While
       others have taken all slots since ``room`` it waits, and the operation is anybody's.
       With ``to_the_end`` it returns when the run has ended. It raises only ``CancelledError``.
    """

    @property
    def routes(self) -> Sequence[Route]: ...

    async def room(self, executor: str) -> int: ...

    def expect(self, executor: str, count: int) -> None: ...

    async def take(self, operation_id: str, *, executor: str, to_the_end: bool = False) -> None: ...


class Engine(Protocol):
    """Brings queued operations to workers.

    1. ``dispatch`` returns when the engine keeps the messages as durably as it can, in one step for many of them. What
       it raises means that some may not be kept; they are dispatched again, so two messages for one operation are no
       error.
    2. A message goes to one worker that wants its queue and kind, not before ``not_before`` where ``terms.delays``,
       and within about a second of that when a worker has room; the best priority first where it ``prioritises``.
    3. From ``work`` to ``rest`` messages are handed in at the desk, never more than it has room for. A message is
       spent when it was handed in: a worker that dies later gets it back from nobody, since its lease does that.
    4. ``rest`` returns within a second or two, with nothing more to be handed in.
    5. An engine that loses its server connects again by itself. Until then ``dispatch`` raises.
    6. One that is ``transactional`` keeps its messages in the database of the operations: it is a
       ``TransactionalEngine``.
    7. Where not ``hosts_workers``, worker processes are made by the engine's own tools: they enter the application with
       what ``attach`` was given, once, when the Raincheck was made; servers then run no work themselves.
    """

    name: str
    terms: Terms
    transactional: bool
    hosts_workers: bool
    prioritises: bool

    def attach(self, enter: Callable[[], AbstractAsyncContextManager[None]]) -> None: ...

    async def start(self, kinds: Mapping[str, Kind], *, clock: Callable[[], datetime]) -> None:
        """Connect. The clock is that by which operations fall due."""
        ...

    async def stop(self) -> None: ...

    async def dispatch(self, dispatches: Sequence[Dispatch]) -> None: ...

    async def work(self, desk: Desk) -> None: ...

    async def rest(self) -> None: ...

    async def describe(self) -> str:
        """Return one line for ``raincheck doctor``: what it found at the engine's server, also when not started.

        Raises if it is of no use.
        """
        ...


class TransactionalEngine(Engine, Protocol):
    """An Engine whose messages are written with the records.

    1. ``enlist`` does what ``dispatch`` does on a connection that is in a transaction: the messages count if that
       commits.
    """

    async def enlist(self, connection: Any, dispatches: Sequence[Dispatch]) -> None: ...


def is_transactional(engine: Engine) -> TypeGuard[TransactionalEngine]:
    """Tell whether an engine takes part in the store's transactions."""
    return engine.transactional


class Outbox(Protocol):
    """What the store keeps for an engine, beside OperationStore.

    1. From ``set_terms`` on each record that is queued here is written with its ``first_moment``.
    2. ``take_overdue`` returns queued operations whose moment has passed, longest first, and moves it to the
       ``next_moment``: of callers at the same time each operation comes to one.
    3. ``adopt`` gives those a moment, ``now``, that were queued without one, by processes without an engine.
    4. A claim that names ids (``Claim.ids``) takes those of them that any claim of its kinds might take, and no other.
    """

    def set_terms(self, terms: Terms | None) -> None: ...

    async def take_overdue(self, kinds: Sequence[str], *, now: datetime, limit: int = 500) -> list[Operation]:
        """Return operations without input and result bytes."""
        ...

    async def adopt(self, *, now: datetime) -> int:
        """Return how many there were."""
        ...


def dispatch_of(operation: Operation) -> Dispatch:
    """Return what an engine is told of a queued operation."""
    return Dispatch(
        id=operation.id,
        run=operation.run,
        kind=operation.kind,
        queue=operation.queue,
        priority=operation.priority,
        not_before=operation.run_at,
    )
