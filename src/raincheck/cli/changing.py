"""``raincheck cancel`` and ``retry``: through a server, or directly in the store."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from raincheck.cli.ending import PROBLEM, UsageError, tell_error
from raincheck.cli.formats import printable
from raincheck.cli.looking import UNFINISHED, matching_in, state_of
from raincheck.cli.server import connected, server_url
from raincheck.cli.view import present_store
from raincheck.client.errors import RequestRefused
from raincheck.core import transitions
from raincheck.core.errors import OperationNotFound, RequestProblem
from raincheck.core.moments import milliseconds
from raincheck.core.names import RANDOM_BYTES, operation_id
from raincheck.core.operation import Operation, Status
from raincheck.locations import PostgresDatabase
from raincheck.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from datetime import datetime

    from raincheck.client import OperationHandle
    from raincheck.client.models import OperationState
    from raincheck.locations import Location
    from raincheck.storage import Storage

_RETRIED, _CAN_RETRY = (Status.FAILED,), (Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which operations a command changes: those that are named, or all that match."""

    ids: Sequence[str]
    all_matching: bool
    statuses: str | None = None
    kind: str | None = None
    owner: str | None = None

    def check(self, *, through_server: bool) -> None:
        """Refuse a choice that is none, or that a server cannot make.

        :raises UsageError: it says what to write.
        """
        filtered = self.statuses is not None or self.kind is not None or self.owner is not None
        if bool(self.ids) == self.all_matching or (self.ids and filtered):
            msg = "Name operations by their ids, or choose them with --all-matching (--status, --kind, --owner)."
            raise UsageError(msg)
        if through_server and self.owner is not None:
            msg = "--owner works on the store only; a server shows what the caller owns."
            raise UsageError(msg)

    def wanted(self, usual: Sequence[Status], possible: Sequence[Status]) -> list[Status]:
        """Return the statuses to choose from.

        :raises UsageError: one is unknown or cannot be changed.
        """
        names = [name.strip() for name in (self.statuses or "").split(",") if name.strip()]
        if unknown := sorted(set(names) - {status.value for status in possible}):
            msg = f"--status takes {', '.join(possible)} here, not {', '.join(unknown)}."
            raise UsageError(msg)
        return [Status(name) for name in names] or list(usual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the operations are: at a server, or in a store."""

    url: str | None
    headers: Sequence[str]
    store: str | None


def cancel_operations(choice: Choice, place: Place, *, as_json: bool) -> None:
    """Cancel what waits and ask what runs to stop."""
    wanted = choice.wanted(UNFINISHED, UNFINISHED)

    async def cancel(storage: Storage, operation_id: str) -> Operation:
        now = storage.clock()
        changed: Operation = await storage.store.change(
            operation_id, lambda record: transitions.request_cancel(record, now=now)
        )
        return changed

    _change(choice, place, wanted, lambda handle: handle.cancel(), cancel, as_json=as_json)


def retry_operations(choice: Choice, place: Place, *, as_json: bool) -> None:
    """Submit failed or cancelled operations again, each as a new one; in bulk only failed ones unless told."""
    wanted = choice.wanted(_RETRIED, _CAN_RETRY)

    async def retry(storage: Storage, operation_id: str) -> Operation:
        former = await storage.store.get(operation_id)
        if not isinstance(former, Operation):
            raise KeyError(operation_id)
        transitions.refuse_rerun(former)
        again = _again(former, storage.clock())
        await storage.blobs.link_inputs(former.id, again.id)
        try:
            await storage.store.submit(again)
        except BaseException:
            await storage.blobs.remove_operations([again.id])
            raise
        return again

    _change(choice, place, wanted, _state_of_retry, retry, as_json=as_json)


def _state_of_retry(handle: OperationHandle) -> OperationState:
    """Retry through a server and return the new operation."""
    state = handle.retry().state
    assert state is not None
    return state


def _again(former: Operation, now: datetime) -> Operation:
    """Return a new operation with the same request; what its kind decides is as it was at the first submit."""
    return Operation(
        id=operation_id(milliseconds=milliseconds(now), entropy=os.urandom(RANDOM_BYTES)),
        kind=former.kind,
        owner=former.owner,
        max_attempts=former.max_attempts,
        max_losses=former.max_losses,
        queue=former.queue,
        priority=former.priority,
        created_at=now,
        updated_at=now,
        run_at=now,
        retention=former.retention,
        metadata=former.metadata,
        rerun_of=former.id,
        callback=former.callback,
        input=former.input,
    )


# --- one after the other ------------------------------------------------------------------------------------------


def _change(
    choice: Choice,
    place: Place,
    wanted: Sequence[Status],
    at_server: Callable[[OperationHandle], OperationState],
    in_store: Callable[[Storage, str], Awaitable[Operation]],
    *,
    as_json: bool,
) -> None:
    """Change each, tell what became of it, and end with 1 where one could not be changed."""
    server = server_url(place.url, place.store)
    choice.check(through_server=server is not None)
    tell = Teller(as_json=as_json)
    if server is not None:
        with connected(server, place.headers) as client:
            states = client.list(status=wanted, kind=choice.kind) if choice.all_matching else ()
            for each in choice.ids or [state.id for state in states][::-1]:
                with tell.refusals(each):
                    tell.changed(each, at_server(client.operation(each)))
    else:
        location = present_store(place.store)
        found: Sequence[str] = choice.ids
        if choice.all_matching:
            found = matching_in(place.store, statuses=wanted, kind=choice.kind, owner=choice.owner)
        asyncio.run(_in_store(location, found, in_store, tell))
    if tell.refused:
        raise typer.Exit(PROBLEM)


async def _in_store(
    location: Location,
    ids: Sequence[str],
    change: Callable[[Storage, str], Awaitable[Operation]],
    tell: Teller,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        storage = await open_storage(location, stack)
        await storage.store.adopt_endpoints()  # a cancel is an end, and webhooks hear of it whoever wrote it
        for each in ids:
            with tell.refusals(each):
                tell.changed(each, state_of(await change(storage, each)))
        if isinstance(location, PostgresDatabase):
            await storage.store.notify()


class Teller:
    """Prints a line for each operation: what it is now, or on stderr why it stays as it was."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.refused = False

    def changed(self, operation_id: str, state: OperationState) -> None:
        """Tell what became of an operation."""
        if self._as_json:
            print(state.model_dump_json(), flush=True)
        elif state.id == operation_id:
            print(f"{operation_id}  {state.status}", flush=True)
        else:
            print(f"{operation_id}  again as {state.id}", flush=True)

    @contextlib.contextmanager
    def refusals(self, operation_id: str) -> Iterator[None]:
        """Tell why an operation cannot be changed, and go on with the others."""
        try:
            yield
        except KeyError:
            text = f"There is no operation {printable(operation_id)!r}. `raincheck ls` lists what is there."
            self._refuse(operation_id, text, OperationNotFound.code)
        except (RequestProblem, RequestRefused) as error:
            self._refuse(operation_id, f"{printable(operation_id)}: {error}", error.code)

    def _refuse(self, operation_id: str, text: str, code: str) -> None:
        self.refused = True
        tell_error(text, code=code, as_json=self._as_json, operation=operation_id)
