"""Following operations in the store, as the client follows them through a server."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from raincheck.cli.listing import LINKS
from raincheck.cli.showing import found_in
from raincheck.cli.view import opened_view
from raincheck.client.models import Event, OperationState, state_from
from raincheck.core.operation import Status
from raincheck.core.wire import event_data, resource
from raincheck.ports import ListQuery

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from raincheck.core.operation import Operation

UNFINISHED = (Status.QUEUED, Status.RUNNING, Status.CANCELLING)
_PAGE = 1000
_TICK = 0.2


def states_in(url: str | None, ids: Sequence[str]) -> Iterator[OperationState]:
    """Give the state of each operation and then each newer one, until all are done.

    :raises OperationNotFound: one is not there.
    """
    versions = dict.fromkeys(ids, 0)
    left = set(ids)
    while left:
        # Opened anew each time: without a log a connection takes the file for unchanging, and holds up no checkpoint.
        with opened_view(url) as view:
            operations = [found_in(view, each) for each in versions if each in left]
        for operation in operations:
            if operation.version > versions[operation.id]:
                versions[operation.id] = operation.version
                yield state_of(operation)
            if operation.done:
                left.discard(operation.id)
        if left:
            time.sleep(_TICK)


def events_in(url: str | None, operation_id: str, *, follow: bool) -> Iterator[Event]:
    """Give the events of the log; with ``follow`` those that come later too, until the operation is done."""
    after = 0
    while True:
        with opened_view(url) as view:
            found_in(view, operation_id)
            found = view.events_after({operation_id: after}, _PAGE).get(operation_id)
        operation, events = found or (None, [])
        for event in events:
            assert operation is not None
            after = event.version
            yield Event(
                event.type.value, event.operation, after, event.run, json.loads(event_data(event, operation, LINKS))
            )
        over = operation is not None and operation.done and after >= operation.version
        if over or (not follow and not events):
            return
        if not events:
            time.sleep(_TICK)


def matching_in(
    url: str | None, *, statuses: Sequence[Status], kind: str | None = None, owner: str | None = None
) -> list[str]:
    """Return the ids of all operations of some statuses, oldest first."""
    ids: list[str] = []
    before: str | None = None
    with opened_view(url) as view:
        while True:
            query = ListQuery(owner=owner, statuses=tuple(statuses), kind=kind, before_id=before, limit=_PAGE)
            page = view.list_page(query)
            ids += [operation.id for operation in page]
            if len(page) < _PAGE:
                return ids[::-1]
            before = page[-1].id


def state_of(operation: Operation) -> OperationState:
    """Return a record as clients see it."""
    return state_from(json.loads(resource(operation, links=LINKS)))
