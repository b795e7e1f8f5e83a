"""The store that a reading command looks into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raincheck import settings
from raincheck.cli.ending import UsageError
from raincheck.core.errors import ConfigurationError
from raincheck.locations import SqliteFile, location

if TYPE_CHECKING:
    from pathlib import Path


def store_path(url: str | None) -> Path:
    """Return the absolute path of a store's file; without a URL that of the environment or the default.

    :raises UsageError: the URL is unknown, or names a store that only its own process can read.
    """
    chosen = settings.load(None, store=url).store
    try:
        found = location(chosen)
    except ConfigurationError as error:
        raise UsageError(str(error)) from error
    if not isinstance(found, SqliteFile):
        msg = (
            "A memory: store lives inside its server and cannot be read from here. Use the HTTP API, or a store in a "
            "file: --store sqlite:///raincheck.db."
        )
        raise UsageError(msg)
    return found.path.absolute()
