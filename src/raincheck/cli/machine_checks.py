"""Checks of what is below the store: Python, SQLite, the clock."""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from raincheck.cli.findings import Finding, ok, problem, warning
from raincheck.cli.formats import duration, local
from raincheck.stores.sqlite.opening import LOWEST_SQLITE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TOLERANCE = timedelta(seconds=2)


def check_versions() -> Iterator[Finding]:
    """Check that SQLite is new enough; pip has seen to Python."""
    found = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < LOWEST_SQLITE:
        lowest = ".".join(str(part) for part in LOWEST_SQLITE)
        yield problem("versions", f"{found}: this SQLite is too old.", f"Use a Python built with SQLite {lowest}.")
    else:
        yield ok("versions", f"{found}.")


def check_clock(folder: Path, newest: datetime | None) -> Iterator[Finding]:
    """Compare the clock with the file system's and with the newest record: a clock that went back delays work.

    :param newest: the latest moment that any record names.
    """
    now = datetime.now(UTC)
    if newest is not None and newest > now + _TOLERANCE:
        message = f"The newest record is from {local(newest)}, {duration(newest - now)} ahead of this machine's clock."
        remedy = "Set the clock (NTP). Work that was queued in that future waits until the clock gets there."
        yield problem("clock", message, remedy)
        return
    written = _file_time(folder)
    if written is not None and abs(written - now) > _TOLERANCE:
        message = f"The file system's clock differs from this machine's by {duration(abs(written - now))}."
        remedy = "A store wants a local disk; a file system with a clock of its own is usually a remote one."
        yield warning("clock", message, remedy)
        return
    yield ok("clock", "The clock agrees with the file system and with the records.")


def _file_time(folder: Path) -> datetime | None:
    """Return the time that the file system gives to a file without a name, which is gone again at once."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"now")
            file.flush()
            return datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
    except OSError:
        return None
