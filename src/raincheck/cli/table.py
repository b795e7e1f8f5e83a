"""Operations as rows: a coloured table for a terminal, plain columns for a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from raincheck.core.operation import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

COLOURS = {
    Status.QUEUED: "cyan",
    Status.RUNNING: "blue",
    Status.CANCELLING: "yellow",
    Status.SUCCEEDED: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "yellow",
}
_FIXED = frozenset({"ID", "STATUS", "ATTEMPT", "AGE", "TIME"})
_NAMES = frozenset(status.value for status in Status)


def print_rows(console: Console, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table: coloured and fitted into a terminal, or plain and whole."""
    if console.is_terminal:
        _print_table(console, columns, rows)
    else:
        _print_plain([tuple(columns), *rows])


def _print_table(console: Console, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        console.print("No operations.", style="dim")
        return
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=True, overflow="fold" if name in _FIXED else "ellipsis")
    status = columns.index("STATUS")
    for row in rows:
        # Text, because a kind or an owner may contain what rich takes for markup.
        cells = [Text(cell) for cell in row]
        if row[status] in _NAMES:  # a later server may know more
            cells[status].stylize(COLOURS[Status(row[status])])
        table.add_row(*cells)
    console.print(table)


def _print_plain(lines: Sequence[tuple[str, ...]]) -> None:
    """Print aligned columns that nothing shortens; scripts should prefer ``--json``."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
