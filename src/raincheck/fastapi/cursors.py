"""Cursors of event streams: one version for one operation, an opaque text for many."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from raincheck.core.errors import MalformedRequest
from raincheck.core.names import is_operation_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

_VERSION = re.compile(r"[0-9]{1,15}")
_MOST_OPERATIONS = 100
_SENT_TWICE = "The cursor was sent more than once. Send Last-Event-ID or ?after= once."


def given_cursor(request: Request) -> str | None:
    """Return the cursor of a request: ``Last-Event-ID``, else ``?after=``; None without one.

    :raises MalformedRequest: it was sent more than once.
    """
    text = header_cursor(request)
    queries = request.query_params.getlist("after")
    if len(queries) > 1:
        raise MalformedRequest(_SENT_TWICE)
    if text is not None:
        return text
    return queries[0] if queries else None


def header_cursor(request: Request) -> str | None:
    """Return ``Last-Event-ID``; None without one. A submit has no other: its query is the application's own.

    :raises MalformedRequest: it was sent more than once.
    """
    headers = request.headers.getlist("last-event-id")
    if len(headers) > 1:
        raise MalformedRequest(_SENT_TWICE)
    return (headers[0].strip() or None) if headers else None


def version_cursor(text: str) -> int:
    """Read the cursor of one operation.

    :raises MalformedRequest: it is no version.
    """
    if not _VERSION.fullmatch(text):
        detail = "The cursor is not a version. Send the id of the last event that you have, or none."
        raise MalformedRequest(detail)
    return int(text)


def refuse_future(cursor: int, version: int) -> None:
    """Refuse a cursor that no event can have given.

    :raises MalformedRequest: the operation has not come that far.
    """
    if cursor > version:
        detail = f"The cursor {cursor} lies after the newest version, {version}. Send the id of an event that you have."
        raise MalformedRequest(detail)


def attach_cursor(text: str) -> tuple[str, int]:
    """Read the cursor of a stream that answered a submit: ``<operation id>:<version>``.

    :raises MalformedRequest: another form.
    """
    operation_id, colon, version = text.partition(":")
    if not colon or not is_operation_id(operation_id):
        detail = "The cursor of a submitted stream is `<operation id>:<version>`, as its events say. Send it as it is."
        raise MalformedRequest(detail)
    return operation_id, version_cursor(version)


class ManyCursor:
    """The cursor of a stream of many operations: their versions, in the order of their ids."""

    def __init__(self, operation_ids: Sequence[str]) -> None:
        self._ids = sorted(operation_ids)
        self._mark = hashlib.sha256(",".join(self._ids).encode()).hexdigest()[:8]
        self._versions = dict.fromkeys(self._ids, 0)

    def start(self, versions: Mapping[str, int]) -> None:
        """Begin at these versions."""
        self._versions.update(versions)

    def __call__(self, operation_id: str, version: int) -> str:
        """Move on and return the text."""
        self._versions[operation_id] = max(self._versions[operation_id], version)
        return ".".join([self._mark, *(str(self._versions[each]) for each in self._ids)])

    def read(self, text: str) -> dict[str, int]:
        """Return the versions that a text holds.

        :raises MalformedRequest: it belongs to another set of operations, or is none.
        """
        mark, *versions = text.split(".")
        whole = len(versions) == len(self._ids) and all(_VERSION.fullmatch(version) for version in versions)
        if mark != self._mark or not whole:
            detail = "The cursor does not belong to these operations. Send the same ids, or no cursor."
            raise MalformedRequest(detail)
        return {operation_id: int(version) for operation_id, version in zip(self._ids, versions, strict=True)}


def wanted_ids(request: Request) -> list[str] | None:
    """Read ``?ids=``; None without it.

    :raises MalformedRequest: none, too many, or malformed ones.
    """
    given = request.query_params.getlist("ids")
    if not given:
        return None
    ids = list(dict.fromkeys(part.strip() for text in given for part in text.split(",")))
    if not 1 <= len(ids) <= _MOST_OPERATIONS or not all(ids):
        detail = f"ids takes 1 to {_MOST_OPERATIONS} operation ids, separated by commas."
        raise MalformedRequest(detail)
    return ids
