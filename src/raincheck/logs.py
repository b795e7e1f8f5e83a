"""Standard logging with the operation's id, kind and attempt in every record of a run.

While a run is under way each record made in it, by Raincheck, by the user's code or by a library it calls, gets
``operation_id``, ``operation_kind`` and ``operation_attempt``; records outside a run get None.
"""

from __future__ import annotations

import contextlib
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raincheck.context import OperationContext

_current: ContextVar[OperationContext | None] = ContextVar("raincheck_operation", default=None)


class run_logging:  # noqa: N801 - used as the context manager that it is
    """Mark all records made inside with the run's operation, and those of tasks and threads that begin inside."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: OperationContext) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = _current.set(self._context)

    def __exit__(self, *exception: object) -> None:
        _current.reset(self._token)


@contextlib.contextmanager
def operation_records() -> Iterator[None]:
    """Add the operation fields to every record of this process while inside; the former factory stays in charge."""
    former = logging.getLogRecordFactory()

    def factory(*args: Any, **keywords: Any) -> logging.LogRecord:
        record = former(*args, **keywords)
        context = _current.get()
        record.operation_id = None if context is None else context.id
        record.operation_kind = None if context is None else context.kind
        record.operation_attempt = None if context is None else context.attempt
        return record

    logging.setLogRecordFactory(factory)
    try:
        yield
    finally:
        if logging.getLogRecordFactory() is factory:
            logging.setLogRecordFactory(former)
