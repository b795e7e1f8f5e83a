"""One run of one operation, from stored request to outcome: the same steps in every executor.

Executors differ only in where sync code runs; they pass that as ``run_sync``.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raincheck.core.errors import InputMismatch, OperationCancelled, OutputOverflow, RaincheckError, RetryLater
from raincheck.core.operation import Problem
from raincheck.core.outcome import AskedToRetry, Interrupted, Outcome, Raised
from raincheck.core.quantities import duration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from raincheck.context import OperationContext
    from raincheck.core.trace_context import TraceContext
    from raincheck.ports_functions import Kind

logger = logging.getLogger("raincheck.run")


class ResultMismatch(RaincheckError):
    """The returned value does not match the function's return annotation."""

    code = "result-mismatch"


class ResultTooLarge(RaincheckError):
    """The rendered result is larger than ``max_result``."""

    code = "result-too-large"


@dataclass(slots=True, eq=False)
class Invocation:
    """What an executor needs for one run.

    :param stored: the stored request, JSON text.
    :param files: local paths of the blobs that the stored request names.
    :param values: the validated arguments, handed over in memory by the accepting request; None: validate ``stored``.
    :param staging: names the folder where a returned file is left for the store; it is created when needed.
    :param max_result: largest rendered result in bytes.
    :param app: the FastAPI application, for WorkerDepends that ask for it; None in a child process.
    :param trace: the span of this run, which a child process goes on from.
    """

    kind: Kind
    context: OperationContext
    stored: str
    files: Mapping[str, Path]
    staging: Callable[[], Path]
    max_result: int
    values: Mapping[str, Any] | None = None
    app: object | None = None
    trace: TraceContext | None = None

    async def perform(self, run_sync: Callable[..., Awaitable[Any]]) -> Outcome:
        """Run the function with all that surrounds it and return how it ended.

        The value is rendered before the ``yield`` dependencies clean up, since rendering may need them; a clean-up
        that raises turns a success into a failure, because a commit may live there.

        :param run_sync: awaits a sync callable where this executor runs sync code.
        :raises asyncio.CancelledError: the surrounding task was cancelled; the executor reports ``Interrupted``.
        """
        try:
            async with AsyncExitStack() as stack:
                arguments = self.values
                if arguments is None:
                    arguments = await self.kind.binding.arguments(self.stored, self.files)
                keywords = await self.kind.binding.resolve(
                    arguments,
                    context=self.context,
                    stack=stack,
                    run_sync=run_sync,
                    app=self.app,
                )
                if inspect.iscoroutinefunction(self.kind.function):
                    value = await self.kind.function(**keywords)
                    inline = not self.kind.binding.render_blocks(value)
                else:
                    value = await run_sync(self.kind.function, **keywords)
                    inline = False
                outcome = self._render(value, keywords) if inline else await run_sync(self._render, value, keywords)
        except OperationCancelled:
            return Interrupted()
        except RetryLater as later:
            return self._asked_to_retry(later)
        except asyncio.CancelledError as error:
            if _task_was_cancelled():
                raise
            return self.explain(error)  # the function awaited something cancelled; nobody asked this run to stop
        except BaseException as error:  # noqa: BLE001 - whatever the user's code raises is its outcome
            return Interrupted() if _only_stops(error) else self.explain(error)
        return outcome

    def _asked_to_retry(self, later: RetryLater) -> Outcome:
        try:
            return AskedToRetry(after=duration(later.after))
        except (ValueError, TypeError) as error:  # the function's own mistake, and none of the executor's
            return self.explain(error)

    def _render(self, value: object, keywords: Mapping[str, Any]) -> Outcome:
        returned = self.kind.binding.render(value, keywords, staging=self.staging)
        size = len(returned.body) if returned.file is None else returned.file.stat().st_size  # type: ignore[arg-type]
        if size > self.max_result:
            msg = f"the result has {size} bytes, max_result allows {self.max_result}; return less or raise the setting"
            raise ResultTooLarge(msg)
        return returned

    def explain(self, error: BaseException) -> Raised:
        """Return what the client and the operator learn of an exception."""
        trace = shown_traceback(error)
        name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        intended = self.kind.binding.explain(error)
        if intended is not None:
            return Raised(error=intended, traceback=trace, exception=name)
        match error:
            case ResultMismatch() | ResultTooLarge() | InputMismatch() | OutputOverflow():
                title = _TITLES[error.code]
                problem = Problem(code=error.code, title=title, detail=str(error))
                return Raised(error=problem, traceback=trace, exception=name)
        retryable = isinstance(error, self.kind.retry.on)
        return Raised(error=UNHANDLED_ERROR, retryable=retryable, traceback=trace, exception=name)


_LONGEST_TRACEBACK = 64 << 10


def shown_traceback(error: BaseException) -> str:
    """Return the traceback for the operator; the middle of a very long one, or of a very long message, is left out."""
    text = "".join(traceback.format_exception(error))
    if len(text) <= _LONGEST_TRACEBACK:
        return text
    half = _LONGEST_TRACEBACK // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters are left out ...\n{text[-half:]}"


def _task_was_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _only_stops(error: BaseException) -> bool:
    """Tell whether a task group only collected cancellation points that several of its tasks reached."""
    if not isinstance(error, BaseExceptionGroup):
        return False
    return error.split((OperationCancelled, asyncio.CancelledError))[1] is None


UNHANDLED_ERROR = Problem(
    code="unhandled-error",
    title="The operation failed with an unexpected error",
    detail="The function raised an error that it did not expect. The operator's log has the details.",
)
_TITLES = {
    "result-mismatch": "The result does not match its declared type",
    "result-too-large": "The result is too large",
    "input-mismatch": "The stored request no longer fits the operation",
    "output-overflow": "The operation emitted faster than it could be written",
}
