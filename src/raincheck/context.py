"""The handle that a running function gets: progress, output, log lines, cancellation points.

The same plain calls work in async functions, in threads and in processes. Constructed by hand it records what
the function did, so that functions can be unit-tested without a server.
"""

from __future__ import annotations

import contextlib
import json
import math
import operator
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, SupportsIndex, TypeGuard, TypeVar, overload

from raincheck.core.errors import OperationCancelled
from raincheck.core.events import LogLine, Output
from raincheck.core.operation import Progress

if TYPE_CHECKING:
    from datetime import datetime

T = TypeVar("T")
LEVELS = ("debug", "info", "warning", "error", "critical")


class Recorder(Protocol):
    """Takes what a run tells.

    1. ``output`` and ``log`` keep their order and are never dropped.
    2. ``progress`` may be called a million times; only the newest value counts.
    3. While more than 8 MiB are unwritten, ``output`` and ``log`` block in threads and processes; on an event loop
       ``output`` raises ``OutputOverflow``.
    4. All but ``drain`` may be called from any thread.
    """

    def progress(self, progress: Progress) -> None: ...

    def output(self, output: Output) -> None: ...

    def log(self, line: LogLine) -> None: ...

    async def drain(self) -> None: ...


@dataclass(slots=True)
class MemoryRecorder:
    """Keeps everything in lists, for unit tests of operation functions."""

    progresses: list[Progress] = field(default_factory=list)
    outputs: list[object] = field(default_factory=list)
    logs: list[LogLine] = field(default_factory=list)

    def progress(self, progress: Progress) -> None:
        """Keep a progress."""
        self.progresses.append(progress)

    def output(self, output: Output) -> None:
        """Keep a chunk as the client would read it."""
        self.outputs.append(json.loads(output.chunk))

    def log(self, line: LogLine) -> None:
        """Keep a log line."""
        self.logs.append(line)

    async def drain(self) -> None:
        """Return at once; nothing waits."""


class OperationContext:
    """What a running operation knows of itself and tells the world.

    Declare a parameter of this type; it never shows in the route's signature. ``OperationContext()`` made by hand
    records into ``op.recorder`` (a ``MemoryRecorder``).
    """

    __slots__ = (
        "_cancel_requested",
        "_track_position",
        "attempt",
        "deadline",
        "id",
        "idempotency_key",
        "kind",
        "metadata",
        "owner",
        "recorder",
        "run",
    )

    def __init__(
        self,
        *,
        id: str = "op_00000000000000000000000000000000",  # noqa: A002 - the public field's name
        kind: str = "test",
        run: int = 1,
        attempt: int = 1,
        owner: str = "",
        metadata: Mapping[str, str] | None = None,
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.id = id
        self.kind = kind
        self.run = run
        self.attempt = attempt
        self.owner = owner
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.deadline = deadline
        self.idempotency_key = idempotency_key
        self.recorder: Recorder = MemoryRecorder() if recorder is None else recorder
        self._cancel_requested = False  # written once, by any thread

    @property
    def cancelled(self) -> bool:
        """Whether the run was asked to stop: a cancel, a passed time limit, or a lost lease."""
        return self._cancel_requested

    def request_cancel(self) -> None:
        """Ask the run to stop at its next cancellation point. Executors and unit tests call this."""
        self._cancel_requested = True

    def raise_if_cancelled(self) -> None:
        """Stop here if the run was asked to stop.

        :raises OperationCancelled: a cancel was requested.
        """
        if self._cancel_requested:
            raise OperationCancelled

    def progress(
        self,
        current: float | None = None,
        total: float | None = None,
        *,
        fraction: float | None = None,
        message: str | None = None,
        unit: str | None = None,
        stage: str | None = None,
    ) -> None:
        """Say how far the work is. Cheap: values are coalesced, the newest is stored at most ten times a second.

        :param current: units done; :param total: units in all; :param fraction: 0 to 1, computed from these if absent.
            Any numbers do, such as NumPy's. What is no text among the rest is shown as ``str`` shows it.
        :raises ValueError: a number is not finite, or the fraction lies outside 0 to 1.
        :raises TypeError: what should be a number is none.
        """
        current, total, fraction = _number("current", current), _number("total", total), _number("fraction", fraction)
        if fraction is None and current is not None and total:
            fraction = min(1.0, max(0.0, current / total))
        if fraction is not None and not 0 <= fraction <= 1:
            msg = f"progress(fraction={fraction!r}): a fraction lies between 0 and 1"
            raise ValueError(msg)
        self.recorder.progress(
            Progress(
                fraction=fraction,
                current=current,
                total=total,
                unit=_text(unit),
                message=_text(message),
                stage=_text(stage),
            ),
        )

    @overload
    def track(
        self, iterable: Iterable[T], total: float | None = None, *, message: str | None = None, unit: str | None = None
    ) -> Iterator[T]: ...

    @overload
    def track(
        self,
        iterable: AsyncIterable[T],
        total: float | None = None,
        *,
        message: str | None = None,
        unit: str | None = None,
    ) -> AsyncIterator[T]: ...

    def track(
        self,
        iterable: Iterable[T] | AsyncIterable[T],
        total: float | None = None,
        *,
        message: str | None = None,
        unit: str | None = None,
    ) -> Iterator[T] | AsyncIterator[T]:
        """Iterate with progress; each step is a cancellation point.

        :param total: number of items; taken from ``len(iterable)`` if absent and known.
        """
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        if isinstance(iterable, AsyncIterable):
            return self._track_async(iterable, total, message, unit)
        return self._track(iterable, total, message, unit)

    def _track(self, iterable: Iterable[T], total: float | None, message: str | None, unit: str | None) -> Iterator[T]:
        done = 0
        self.progress(done, total, message=message, unit=unit)
        for item in iterable:
            self.raise_if_cancelled()
            yield item
            done += 1
            self.progress(done, total, message=message, unit=unit)

    async def _track_async(
        self, iterable: AsyncIterable[T], total: float | None, message: str | None, unit: str | None
    ) -> AsyncIterator[T]:
        done = 0
        self.progress(done, total, message=message, unit=unit)
        async for item in iterable:
            self.raise_if_cancelled()
            yield item
            done += 1
            self.progress(done, total, message=message, unit=unit)

    def emit(self, chunk: object) -> None:
        """Send a partial result to the readers: ordered, durable, never dropped.

        :param chunk: any JSON value; Pydantic models and dataclasses too.
        :raises TypeError: the chunk has no JSON form.
        :raises OutputOverflow: in async functions, while more than 8 MiB are unwritten (``await op.drain()`` first).
        """
        self.recorder.output(Output(json_text(chunk)))

    def log(self, message: str, level: str = "info") -> None:
        """Send a log line to the readers. In threads and processes it waits while more than 8 MiB are unwritten.

        :param level: debug, info, warning, error or critical.
        """
        if level not in LEVELS:
            msg = f"log(level={level!r}): use one of {', '.join(LEVELS)}"
            raise ValueError(msg)
        self.recorder.log(LogLine(str(message), level))

    async def drain(self) -> None:
        """Wait until what was emitted is written (async functions)."""
        await self.recorder.drain()


def _number(name: str, value: float | None) -> float | None:
    """Return a number that JSON can hold: those of other libraries (NumPy, decimal) become Python's own."""
    if value is None:
        return None
    found = math.inf
    try:
        found = value if type(value) is int else operator.index(value) if _is_whole(value) else float(value)
        finite = math.isfinite(found)
    except OverflowError:  # a whole number beyond all floats
        finite = False
    except (TypeError, ValueError):
        msg = f"progress({name}={value!r}): this must be a number"
        raise TypeError(msg) from None
    if not finite:
        msg = f"progress({name}={value!r}): numbers must be finite"
        raise ValueError(msg)
    return found


def _is_whole(value: object) -> TypeGuard[SupportsIndex]:
    return isinstance(value, SupportsIndex)


def _text(value: object) -> str | None:
    return value if value is None or type(value) is str else str(value)


def json_text(value: object) -> str:
    """Return ASCII JSON text of a value; Pydantic models and dataclasses are dumped first.

    :raises TypeError: the value has no JSON form.
    """
    if isinstance(value, (str, int, float, bool, list, tuple, dict)) or value is None:
        # Nested models and numbers that are not finite are rendered by Pydantic below.
        with contextlib.suppress(TypeError, ValueError):
            return json.dumps(value, allow_nan=False)
    from pydantic_core import PydanticSerializationError, to_json  # noqa: PLC0415 - costs import time only when used

    try:
        return json.dumps(json.loads(to_json(value, inf_nan_mode="null")))
    except PydanticSerializationError as error:
        msg = f"emit() takes JSON values, Pydantic models and dataclasses, not {type(value).__name__}: {error}"
        raise TypeError(msg) from error
