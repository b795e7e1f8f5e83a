"""One operation of a server, as its caller holds it."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar, overload

from raincheck.client._async.connection import json_of
from raincheck.client._async.downloading import save_to
from raincheck.client._async.following import events_of, updates_of
from raincheck.client._async.polling import AsyncPoller
from raincheck.client.deadline import Deadline
from raincheck.client.errors import Gone, RemoteCancelled, RemoteFailed
from raincheck.client.models import OperationState, state_from
from raincheck.client.problems import ProblemDetails
from raincheck.client.results import typed
from raincheck.client.submitting import new_key
from raincheck.core.wire import is_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from datetime import timedelta
    from os import PathLike

    import httpx2

    from raincheck.client._async.connection import AsyncConnection
    from raincheck.client.models import Event
    from raincheck.client.submitting import Key

T = TypeVar("T")
_FAILED = ProblemDetails(title="The operation failed")


class AsyncOperationHandle:
    """An operation that was submitted, or that ``client.operation(id)`` names.

    ``state`` is what this handle has heard last; ``refresh``, ``wait`` and ``updates`` bring newer ones.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        url: httpx2.URL,
        operation_id: str,
        *,
        state: OperationState | None = None,
        answer: httpx2.Response | None = None,
        replayed: bool = False,
    ) -> None:
        self._connection = connection
        self._url = url
        self._answer = answer
        self._poller = AsyncPoller(connection, url)
        self.id = operation_id
        self.state = state
        self.replayed = replayed

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status or 'not asked yet'}>"

    @property
    def status(self) -> str | None:
        """The last status that was heard; None before the first."""
        return None if self.state is None else self.state.status

    @property
    def url(self) -> str:
        """The operation's address."""
        return str(self._url)

    # --- looking --------------------------------------------------------------------------------------------------

    async def refresh(self) -> OperationState:
        """Ask for the operation as it is now."""
        self.state = await self._poller.now()
        return self.state

    async def wait(self, timeout: timedelta | float | str | None = None) -> OperationState:
        """Wait until the operation is done, and return it; a failure is a state here, not an error.

        :raises WaitTimedOut: it is not done in time. The operation goes on.
        """
        deadline = Deadline(timeout)
        async with aclosing(self._poller.newer(self.state, deadline, only_done=True)) as states:
            async for state in states:
                self.state = state
        assert self.state is not None
        return self.state

    async def updates(self, timeout: timedelta | float | str | None = None) -> AsyncGenerator[OperationState]:
        """Give the state as it is and then each newer one; the last is done.

        :raises WaitTimedOut: it is not done in time.
        """
        deadline = Deadline(timeout)
        state = self.state or await self.refresh()
        yield state
        async with aclosing(updates_of(self._connection, self._url, state, deadline)) as newer:
            async for each in newer:
                self.state = each
                yield each

    async def events(self, after: int | None = None) -> AsyncGenerator[Event]:
        """Give the events of the log until ``done``: each once, in order, over cuts and restarts of the server.

        :param after: the version of the last event that the caller has, 0 for all events; None for a snapshot and what
            follows.
        :raises StreamUnavailable: something on the way lets no event stream through, not even a finished one.
        """
        async with aclosing(events_of(self._connection, self._url, after)) as found:
            async for event in found:
                if self.state is None or event.version > self.state.version:
                    self.state = None if self.state is None else self.state.after(event)
                yield event

    async def output(self, *, on_restart: Callable[[], object] | None = None) -> AsyncGenerator[Any]:
        """Give what the function emits, from its first chunk on, until the operation is done.

        :param on_restart: called before the first chunk of another run, which replaces all that came before.
        """
        run = 0
        async with aclosing(self.events(after=0)) as events:
            async for event in events:
                if event.type != "output":
                    continue
                if run not in (0, event.run) and on_restart is not None:
                    on_restart()
                run = event.run
                yield event.chunk

    # --- the result -----------------------------------------------------------------------------------------------

    @overload
    async def result(self, kind: type[T], *, timeout: timedelta | float | str | None = None) -> T: ...
    @overload
    async def result(self, kind: Any = None, *, timeout: timedelta | float | str | None = None) -> Any: ...
    async def result(self, kind: Any = None, *, timeout: timedelta | float | str | None = None) -> Any:
        """Wait until the operation is done and return what its function returned.

        :param kind: a type that Pydantic understands, as which JSON is returned; ``bytes`` for the bytes as they are.
            Without it JSON is parsed, and anything else is bytes.
        :raises RemoteFailed: the operation failed.
        :raises RemoteCancelled: it was cancelled.
        :raises WrongResult: the result is not of that type.
        :raises WaitTimedOut: it is not done in time. The operation goes on.
        """
        if self._answer is None:
            state = self._succeeded(await self.wait(timeout))
            if state.result_inline and kind is not bytes:
                return typed(state.result, kind)
        answer = await self._read()
        if kind is bytes or (kind is None and not is_json(answer.headers.get("content-type"))):
            return answer.content
        return typed(json_of(answer), kind)

    async def response(self, *, timeout: timedelta | float | str | None = None) -> httpx2.Response:
        """Wait until the operation is done and return the answer of its function: status, headers and bytes.

        :raises RemoteFailed: the operation failed.
        :raises RemoteCancelled: it was cancelled.
        :raises WaitTimedOut: it is not done in time. The operation goes on.
        """
        if self._answer is None:
            self._succeeded(await self.wait(timeout))
        return await self._read()

    async def save(self, path: str | PathLike[str], *, timeout: timedelta | float | str | None = None) -> int:
        """Wait until the operation is done and write its result to a file; return the number of bytes.

        The file appears when it is whole; what was cut goes on where it stopped.

        :raises RemoteFailed: the operation failed.
        :raises RemoteCancelled: it was cancelled.
        """
        self._succeeded(await self.wait(timeout))
        return await save_to(path, self._connection, self._connection.addresses.part(self._url, "result"))

    async def _read(self) -> httpx2.Response:
        if self._answer is None:
            self._answer = await self._connection.send("GET", self._connection.addresses.part(self._url, "result"))
        return self._answer

    def _succeeded(self, state: OperationState) -> OperationState:
        if state.succeeded:
            return state
        if state.status == "cancelled":
            raise RemoteCancelled(state)
        raise RemoteFailed(state, state.error or _FAILED)

    # --- changing -------------------------------------------------------------------------------------------------

    async def cancel(self) -> OperationState:
        """Ask the operation to stop. What waits is cancelled at once; what runs is ``cancelling`` until it has stopped.

        :raises Conflict: it has already succeeded or failed.
        """
        response = await self._connection.send("POST", self._connection.addresses.part(self._url, "cancel"))
        self.state = state_from(json_of(response))
        return self.state

    async def retry(self, *, idempotency_key: Key = True) -> AsyncOperationHandle:
        """Submit the same request again as a new operation, and return its handle; of what failed or was cancelled.

        :raises Conflict: it is not finished, or it has succeeded.
        """
        key = new_key() if idempotency_key is True else idempotency_key
        response = await self._connection.send(
            "POST",
            self._connection.addresses.part(self._url, "retry"),
            headers={} if key is None else {"Idempotency-Key": key},
            again=key is not None,
        )
        return accepted(self._connection, response)

    async def delete(self) -> None:
        """Delete the finished operation with its result; one that was deleted before is no error.

        :raises Conflict: it is not finished.
        """
        try:
            await self._connection.send("DELETE", self._url)
        except Gone as error:
            if error.code != "operation-deleted":
                raise


def accepted(connection: AsyncConnection, response: httpx2.Response) -> AsyncOperationHandle:
    """Return the handle of what a 202 accepted."""
    state = state_from(json_of(response))
    link = response.headers.get("location") or state.links.get("self") or ""
    url = connection.addresses.of_link(link) if link else connection.addresses.of_operation(state.id)
    replayed = response.headers.get("idempotency-replayed") == "true"
    return AsyncOperationHandle(connection, url, state.id, state=state, replayed=replayed)


def answered(connection: AsyncConnection, response: httpx2.Response, operation_id: str) -> AsyncOperationHandle:
    """Return the handle of an operation that was done before the server answered its submit."""
    link = response.headers.get("operation-location") or ""
    url = connection.addresses.of_link(link) if link else connection.addresses.of_operation(operation_id)
    # The status of an answer is the function's own: an HTTPException(200) is a failure all the same.
    good = response.is_success and response.headers.get("operation-status", "succeeded") == "succeeded"
    replayed = response.headers.get("idempotency-replayed") == "true"
    return AsyncOperationHandle(connection, url, operation_id, answer=response if good else None, replayed=replayed)
