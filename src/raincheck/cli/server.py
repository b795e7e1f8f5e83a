"""The server that a command speaks to, or the store file that it opens in its place."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from raincheck.cli.ending import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from raincheck.client import Client


def server_url(url: str | None, store: str | None) -> str | None:
    """Return the server's URL, or None where the store file is meant: ``--store`` outranks RAINCHECK_URL.

    :raises UsageError: both are given.
    """
    if url and store:
        msg = "--url and --store name two places. Give the server's URL, or the file."
        raise UsageError(msg)
    return url or (None if store else os.environ.get("RAINCHECK_URL") or None)


def needed_url(url: str | None) -> str:
    """Return the server's URL for a command that works through a server only.

    :raises UsageError: there is none.
    """
    found = server_url(url, None)
    if found is None:
        msg = "This needs a server. Name it with --url https://example.com or RAINCHECK_URL."
        raise UsageError(msg)
    return found


@contextmanager
def connected(url: str, headers: Sequence[str]) -> Iterator[Client]:
    """Give a client of a server; RAINCHECK_TOKEN becomes its bearer token.

    :raises UsageError: the URL or a header cannot be used, or the extra is missing.
    """
    sent = sent_headers(headers)
    from raincheck.client import Client  # noqa: PLC0415 - of the extra, and sent_headers has looked for it

    try:
        client = Client(url, headers=sent, operations=operations_path())
    except ValueError as error:
        raise UsageError(str(error)) from error
    with client:
        yield client


def sent_headers(headers: Sequence[str]) -> dict[str, str]:
    """Return the headers of every request; RAINCHECK_TOKEN becomes the bearer token.

    :raises UsageError: a header cannot be used, or the extra is missing.
    """
    try:
        import raincheck.client  # noqa: F401, PLC0415 - it says which extra is missing
    except ModuleNotFoundError as error:
        raise UsageError(str(error)) from error
    sent = dict(_header(text) for text in headers)
    token = os.environ.get("RAINCHECK_TOKEN")
    if token and "authorization" not in {name.lower() for name in sent}:
        sent["Authorization"] = f"Bearer {token}"
    return sent


def operations_path() -> str:
    """Return where the operations of a server are."""
    return os.environ.get("RAINCHECK_OPERATIONS", "/operations")


def pair(text: str, option: str) -> tuple[str, str]:
    """Split ``name=value``.

    :raises UsageError: there is no equals sign.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        msg = f"{option} {text!r} is not NAME=VALUE."
        raise UsageError(msg)
    return name, value


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        msg = f"--header {text!r} is not 'NAME: VALUE'."
        raise UsageError(msg)
    return name.strip(), value.strip()
