"""The store that a reading command looks into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raincheck import settings
from raincheck.cli.ending import UsageError
from raincheck.core.errors import ConfigurationError
from raincheck.stores.sqlite.inspection import opened_to_look

if TYPE_CHECKING:
    from pathlib import Path


def store_path(url: str | None) -> Path:
    """Return the absolute path of a store's file; without a URL that of the environment or the default.

    :raises UsageError: the URL is unknown, or names a store that only its own process can read.
    """
    chosen = settings.load(None, store=url).store
    try:
        path = settings.sqlite_path(chosen)
    except ConfigurationError as error:
        raise UsageError(str(error)) from error
    if path is None:
        msg = (
            "A memory: store lives inside its server and cannot be read from here. Use the HTTP API, or a store in a "
            "file: --store sqlite:///raincheck.db."
        )
        raise UsageError(msg)
    return path.absolute()


def present_store(url: str | None) -> Path:
    """Return the path of a store that a command may change: it is there, and of this release.

    :raises UsageError: the URL names no file.
    :raises StoreError: a wrong path must not become an empty store, and a command must not migrate by the way.
    """
    path = store_path(url)
    with opened_to_look(path):
        return path
