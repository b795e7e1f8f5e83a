"""Statements that take any number of rows at once: one step for SQLite, whatever the number."""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

# Few sizes, so that SQLite keeps each compiled statement; the rest of a size is filled with rows of NULL, which the
# statements ignore. The largest stays below SQLite's 32,766 variables.
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1000)
LARGEST = _SIZES[-1]


def write_rows(connection: sqlite3.Connection, template: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Execute a statement whose ``{rows}`` stands for the rows of a VALUES clause."""
    width = len(rows[0])
    for start in range(0, len(rows), LARGEST):
        part = rows[start : start + LARGEST]
        size = _SIZES[bisect_left(_SIZES, len(part))]
        values = list(chain.from_iterable(part))
        values += [None] * (width * (size - len(part)))
        connection.execute(statement_of(template, width, size), values)


@lru_cache(maxsize=4 * len(_SIZES))
def statement_of(template: str, width: int, size: int) -> str:
    """Return the text for a number of rows."""
    row = f"({', '.join(['?'] * width)})"
    return template.replace("{rows}", ", ".join([row] * size))
