"""How values look to an operator: times, durations, sizes, progress, and text that others wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from raincheck.client.models import OperationState, ProgressState
    from raincheck.core.operation import Operation, Progress

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_KIBI = 1024


def printable(text: str, *, lines: bool = False) -> str:
    """Replace control characters: what clients and functions wrote must not steer the operator's terminal.

    :param lines: keep line ends and tabs.
    """
    kept = "\n\t" if lines else ""
    return "".join(each if each.isprintable() or each in kept else "\N{REPLACEMENT CHARACTER}" for each in text)


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 operation`` and ``3 operations``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(span: timedelta) -> str:
    """Return a duration with its two largest units, such as ``3m 12s``; below ten seconds with a tenth."""
    seconds = max(0.0, span.total_seconds())
    if seconds < 9.95:  # noqa: PLR2004 - what still shows as 9.9s
        return f"{seconds:.1f}s"
    rest = round(seconds)
    parts: list[str] = []
    for unit, length in _UNITS:
        count, rest = divmod(rest, length)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0"))


def size(count: float) -> str:
    """Return a number of bytes such as ``1.5 MiB``."""
    if count < _KIBI:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= _KIBI
        if count < _KIBI:
            return f"{count:.1f} {unit}"
    return f"{count / _KIBI:.1f} TiB"


def local(moment: datetime | None) -> str:
    """Return a moment in the operator's time zone."""
    return "" if moment is None else moment.astimezone().isoformat(sep=" ", timespec="milliseconds")


def progress(found: Progress | ProgressState | None) -> str:
    """Return how far a run has come, in one line."""
    if found is None:
        return ""
    parts = []
    if found.fraction is not None:
        parts.append(f"{found.fraction:.0%}")
    if found.current is not None:
        total = "" if found.total is None else f"/{found.total:.15g}"
        parts.append(f"{found.current:.15g}{total}" + (f" {found.unit}" if found.unit else ""))
    parts.extend(text for text in (found.stage, found.message) if text)
    return printable(" ".join(parts))


def run_time(operation: Operation | OperationState, now: datetime) -> str:
    """Return how long an operation has run since its first start, until its end or now."""
    if operation.started_at is None:
        return ""
    return duration((operation.finished_at or now) - operation.started_at)
