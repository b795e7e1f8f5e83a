"""Doing something for thousands of readers without holding the loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
AT_ONCE = 100


def in_turns(each: Iterable[T], act: Callable[[T], object]) -> None:
    """Act on a hundred now and on as many in each turn of the loop, so that other requests get theirs in between."""
    loop = asyncio.get_running_loop()
    waiting = deque(each)

    def turn() -> None:
        for _ in range(min(AT_ONCE, len(waiting))):
            act(waiting.popleft())
        if waiting:
            loop.call_soon(turn)

    turn()
