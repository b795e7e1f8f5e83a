"""The ports of functions: what the user declared, and what runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AsyncExitStack
    from datetime import timedelta
    from pathlib import Path

    from raincheck.context import OperationContext
    from raincheck.core.operation import Problem
    from raincheck.core.outcome import Outcome, Returned
    from raincheck.core.retry import Retry
    from raincheck.invocation import Invocation


class Binding(Protocol):
    """Turns a stored request into the arguments of one function, and its return value into bytes.

    1. ``arguments`` validates the stored request with the function's own signature, so the function gets what the
       request gave; a request that no longer fits raises ``InputMismatch``.
    2. ``resolve`` adds what exists only at the run: the context, a fresh ``Response``, ``WorkerDepends`` values whose
       clean-up is pushed on the stack. Sync dependencies run through ``run_sync``.
    3. ``render`` checks the value against the return annotation and gives bytes or a file; a value that does not match
       raises ``ResultMismatch`` (see ``raincheck.invocation``).
       ``render_blocks`` tells whether rendering this value copies files, so must stay off the event loop.
    4. ``explain`` gives the problem of an exception raised on purpose, None for any other.
    """

    async def arguments(self, stored: str, files: Mapping[str, Path]) -> dict[str, Any]: ...

    async def resolve(
        self,
        arguments: Mapping[str, Any],
        *,
        context: OperationContext,
        stack: AsyncExitStack,
        run_sync: Callable[..., Awaitable[Any]],
        app: object | None,
    ) -> dict[str, Any]: ...

    def render(self, value: object, arguments: Mapping[str, Any], *, staging: Callable[[], Path]) -> Returned: ...

    def render_blocks(self, value: object) -> bool: ...

    def explain(self, exception: BaseException) -> Problem | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One decorated function and how its operations run. ``name`` is durable: stored operations refer to it."""

    name: str
    function: Callable[..., Any]
    executor: str
    retry: Retry
    timeout: timedelta | None
    max_losses: int
    retention: timedelta
    memory_limit: int | None
    queue: str
    priority: int
    wait: timedelta
    binding: Binding


class Executor(Protocol):
    """Runs functions here.

    1. ``run`` returns the outcome when the function has really ended, clean-up included, and never raises for what
       the function did.
    2. ``interrupt`` asks a run to stop: it sets ``context.cancelled``, then uses what force the executor has.
       A function that still returns normally gives ``Returned``. Interrupting an unknown or ended run does nothing.
    3. ``free`` is the number of runs that may start now; a run holds its slot until its function has really ended.
    4. ``stop`` ends what can be ended and returns within about two seconds.
    5. A function finds the context variables of who called ``run``, in a thread too; so its log records name the
       operation (``logs.run_logging``). A child process marks its own.
    """

    name: str

    @property
    def slots(self) -> int: ...

    @property
    def free(self) -> int: ...

    async def start(self, kinds: Sequence[Kind]) -> None: ...

    async def stop(self) -> None: ...

    async def run(self, invocation: Invocation) -> Outcome: ...

    def interrupt(self, invocation: Invocation) -> None: ...
