"""Following operations: by streams where they get through, else by polls; nothing missed, nothing twice."""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import anyio

from raincheck.client._async.polling import AsyncPoller, pause_of
from raincheck.client._async.stream import AsyncStream
from raincheck.client.deadline import Deadline
from raincheck.client.errors import StreamUnavailable
from raincheck.client.models import event_from, state_from
from raincheck.client.position import Position, read_frame

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    import httpx2

    from raincheck.client._async.connection import AsyncConnection
    from raincheck.client.models import Event, OperationState


async def events_of(connection: AsyncConnection, url: httpx2.URL, after: int | None) -> AsyncGenerator[Event]:
    """Give the events of an operation after a version, until its end.

    Where streams are held back, this waits for the end by polls and reads the log then, which is a finite answer.

    :raises StreamUnavailable: not even the finite log gets through.
    """
    position = Position(after)
    stream = AsyncStream(connection, connection.addresses.part(url, "events"), lambda: position.cursor)
    try:
        async with aclosing(_accepted(stream, position)) as accepted:
            async for event in accepted:
                yield event
    except StreamUnavailable:
        held_back = True
    else:
        held_back = False
    if held_back:
        async with aclosing(AsyncPoller(connection, url).newer(None, Deadline(None), only_done=True)) as states:
            async for _ in states:
                pass
        async with aclosing(_accepted(stream, position)) as accepted:
            async for event in accepted:
                yield event


async def _accepted(stream: AsyncStream, position: Position) -> AsyncGenerator[Event]:
    async with aclosing(stream.frames()) as frames:
        async for frame in frames:
            event = position.accept(frame.event, frame.data)
            if event is not None:
                yield event
            if position.over:
                return


async def updates_of(
    connection: AsyncConnection, url: httpx2.URL, state: OperationState, deadline: Deadline
) -> AsyncGenerator[OperationState]:
    """Give each newer state, until the operation is done.

    A stream's pings would renew the wait for its next byte again and again, so a caller with a time limit polls.

    :raises WaitTimedOut: the deadline passed first.
    """
    if deadline.remaining == float("inf"):
        position = Position(state.version)
        stream = AsyncStream(connection, connection.addresses.part(url, "events"), lambda: position.cursor)
        with suppress(StreamUnavailable):  # then polls go on from the state that the stream has brought
            async with aclosing(_accepted(stream, position)) as accepted:
                async for event in accepted:
                    state = state.after(event)
                    if event.type not in _UNSEEN_IN_STATES:
                        yield state
    poller = AsyncPoller(connection, url)
    async with aclosing(poller.newer(state, deadline, only_done=False)) as states:
        async for newer in states:
            yield newer


_UNSEEN_IN_STATES = frozenset({"output", "log", "reset"})


async def updates_of_many(
    connection: AsyncConnection, urls: Mapping[str, httpx2.URL]
) -> AsyncGenerator[OperationState]:
    """Give the state of each operation and then each newer one, until all are done; over one connection."""
    known: dict[str, OperationState] = {}
    cursor: str | None = None
    stream = AsyncStream(connection, connection.addresses.of_many([*urls]), lambda: cursor)
    with suppress(StreamUnavailable):  # then polls go on from what the stream has brought
        async with aclosing(stream.frames()) as frames:
            async for frame in frames:
                cursor = frame.id or cursor
                event = event_from(frame.event, read_frame(frame.data))
                if event is None:
                    continue
                state = _newer_state(known.get(event.operation), event)
                if state is not None:
                    known[state.id] = state
                    yield state
                if len(known) == len(urls) and all(each.done for each in known.values()):
                    return
    async with aclosing(_polled(connection, urls, known)) as states:
        async for state in states:
            yield state


def _newer_state(known: OperationState | None, event: Event) -> OperationState | None:
    if known is None:
        resource = event.data.get("resource")
        return state_from(resource) if isinstance(resource, dict) else None
    if event.version <= known.version or event.type in _UNSEEN_IN_STATES:
        return None
    return known.after(event)


async def _polled(
    connection: AsyncConnection, urls: Mapping[str, httpx2.URL], known: dict[str, OperationState]
) -> AsyncGenerator[OperationState]:
    while True:
        for operation_id, url in urls.items():
            before = known.get(operation_id)
            if before is not None and before.done:
                continue
            state = await AsyncPoller(connection, url).now()
            if before is None or state.version > before.version:
                known[operation_id] = state
                yield state
        unfinished = [state for state in known.values() if not state.done]
        if not unfinished:
            return
        await anyio.sleep(min(map(pause_of, unfinished)))
