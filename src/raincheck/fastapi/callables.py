"""What calling a dependency or an operation function gives: a value, an awaitable, a generator."""

from __future__ import annotations

import inspect
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Style(Enum):
    """How a callable must be called."""

    SYNC = "sync"
    ASYNC = "async"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"

    @property
    def yields(self) -> bool:
        """Whether code runs after the value was given, so that clean-up is due."""
        return self in (Style.GENERATOR, Style.ASYNC_GENERATOR)


def style_of(call: Callable[..., Any]) -> Style:
    """Return the style of a function, class, method, partial or callable object, seen through ``functools.wraps``."""
    plain = _without_partial(call)
    for candidate in (plain, _without_partial(inspect.unwrap(plain))):
        found = _style(candidate)
        if found is not Style.SYNC:
            return found
    return Style.SYNC


def full_name(call: Callable[..., Any]) -> str:
    """Return ``module.qualname``, or the type's for objects without a name."""
    plain: Any = _without_partial(call)
    if not hasattr(plain, "__qualname__"):
        plain = type(plain)
    return f"{plain.__module__}.{plain.__qualname__}"


def _without_partial(call: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(call, partial):
        call = call.func
    return call


def _style(call: Callable[..., Any]) -> Style:
    if inspect.isclass(call):
        return Style.SYNC
    body: Any = call
    if not inspect.isroutine(call):
        body = getattr(type(call), "__call__", call)  # noqa: B004 - its code is wanted, not the answer
    if inspect.isasyncgenfunction(body):
        return Style.ASYNC_GENERATOR
    if inspect.isgeneratorfunction(body):
        return Style.GENERATOR
    return Style.ASYNC if inspect.iscoroutinefunction(body) else Style.SYNC
