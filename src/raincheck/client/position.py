"""How far a reader of an operation's log has come: what it has seen never comes twice."""

from __future__ import annotations

import json
from typing import Any

from raincheck.client.errors import UnexpectedAnswer
from raincheck.client.models import Event, event_from


class Position:
    """The newest version that was given on.

    :param after: the version to go on after; None to begin with a snapshot, 0 with the first event.
    """

    def __init__(self, after: int | None) -> None:
        self._version = after
        self.over = False

    @property
    def cursor(self) -> str | None:
        """What to send as ``Last-Event-ID``; None while nothing is known."""
        return None if self._version is None else str(self._version)

    def accept(self, name: str, text: str) -> Event | None:
        """Return the event of a frame, or None for one that was seen before or is none.

        :raises UnexpectedAnswer: the frame's data is no JSON.
        """
        body = read_frame(text)
        if name == "reset":
            # What the cursor named is no longer kept; the snapshot that follows begins anew.
            self._version = None
            return _reset(body)
        event = event_from(name, body)
        if event is None:
            return None
        if name == "snapshot":
            return self._snapshot(event)
        if self._version is not None and event.version <= self._version:
            return None
        self._version = event.version
        self.over = name == "done"
        return event

    def _snapshot(self, event: Event) -> Event | None:
        if self._version is not None:
            return None
        resource = event.data.get("resource")
        done = isinstance(resource, dict) and resource.get("done") is True
        # A finished operation still shows its ``done``, also to a reader that is cut off before it.
        self._version = event.version - 1 if done else event.version
        return event


def read_frame(text: str) -> Any:
    """Return the JSON of a frame.

    :raises UnexpectedAnswer: it is none.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        msg = f"An event of the stream is no JSON: {text[:80]!r}. Does something rewrite it on its way?"
        raise UnexpectedAnswer(msg) from error


def _reset(body: Any) -> Event:
    fields = body if isinstance(body, dict) else {}
    operation, oldest = fields.get("operation"), fields.get("oldest")
    return Event(
        "reset", operation if isinstance(operation, str) else "", oldest if type(oldest) is int else 0, 0, fields
    )
