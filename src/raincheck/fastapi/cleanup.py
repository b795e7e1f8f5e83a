"""Entering and leaving ``yield`` dependencies at a run."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager


@asynccontextmanager
async def guarded(manager: AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
    """Let a dependency see the function's exception, and replace it, but never swallow it.

    A dependency that catches an exception and forgets to raise it again would turn a failure into a result.
    """
    failure: BaseException | None = None
    async with manager as value:
        try:
            yield value
        except BaseException as error:
            failure = error
            raise
    if failure is not None:
        raise failure


@asynccontextmanager
async def threaded(
    call: Callable[..., Any], arguments: Mapping[str, Any], run_sync: Callable[..., Awaitable[Any]]
) -> AsyncIterator[Any]:
    """Enter and leave a sync generator dependency where sync code runs."""
    manager = contextmanager(call)(**arguments)
    entering = asyncio.ensure_future(run_sync(manager.__enter__))
    try:
        value = await asyncio.shield(entering)
    except asyncio.CancelledError as cancelled:
        # A thread cannot be stopped half-way: what it opens after the cancel would otherwise stay open.
        await asyncio.wait([entering])
        if not entering.cancelled() and entering.exception() is None:
            await run_sync(manager.__exit__, type(cancelled), cancelled, cancelled.__traceback__)
        raise
    try:
        yield value
    except BaseException as error:
        if not await run_sync(manager.__exit__, type(error), error, error.__traceback__):
            raise
    else:
        await run_sync(manager.__exit__, None, None, None)
