"""Server-Sent Events as bytes (WHATWG HTML §9.2): one ASCII JSON object a frame, so that no text can forge one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raincheck.core import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from raincheck.core.events import Event
    from raincheck.core.wire import Links
    from raincheck.roles.feed import Portion

PING = b": ping\n\n"


def frame(name: str, data: str, cursor: str | None) -> bytes:
    """Return one frame; without a cursor the reader keeps the one it has."""
    identity = "" if cursor is None else f"id: {cursor}\n"
    return f"event: {name}\n{identity}data: {data}\n\n".encode("ascii")


def retry_line(milliseconds: int) -> bytes:
    """Return the line that rides on a first frame; alone it would be an empty event for some readers."""
    return f"retry: {milliseconds}\n".encode("ascii")


def frames(
    portion: Portion, links: Links, cursor: Callable[[str, int], str | None], *, after: int, shared: bool
) -> bytes:
    """Return the frames of a portion's events above a version.

    :param shared: whether the cursor depends on the event alone; then readers that are equally far share the bytes.
    """
    key = links.base, cursor, after
    if shared and (found := portion.framed.get(key)) is not None:
        return found
    identity = portion.operation.id
    made = b"".join(
        [
            frame(event.type.value, data, cursor(identity, event.version))
            for event, data in events_with_data(portion, links, after=after)
        ],
    )
    if shared:
        portion.framed[key] = made
    return made


def events_with_data(portion: Portion, links: Links, *, after: int) -> Iterator[tuple[Event, str]]:
    """Give the events above a version with their JSON, which all readers of the portion share."""
    rendered = portion.rendered.get(links.base)
    if rendered is None:
        rendered = [(event, wire.event_data(event, portion.operation, links)) for event in portion.events]
        portion.rendered[links.base] = rendered
    for event, data in rendered:
        if event.version > after:
            yield event, data
