"""Threads for short steps of Raincheck's own that block: files, locks, the end of other threads.

``asyncio.to_thread`` shares a handful of threads with the application. Functions that hold all of them, each for
minutes, would keep files from being stored, dead workers from being seen, and the process from ending.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")
_THREADS = 8


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Return the threads of this process, which are started as they are needed and shared by all loops."""
    return ThreadPoolExecutor(_THREADS, "raincheck-own")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


async def in_own_thread(step: Callable[P, T], /, *args: P.args, **keywords: P.kwargs) -> T:
    """Call a function that blocks for a short time, as ``asyncio.to_thread`` does."""
    call = functools.partial(contextvars.copy_context().run, step, *args, **keywords)
    return await asyncio.get_running_loop().run_in_executor(_pool(), call)
