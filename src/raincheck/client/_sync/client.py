# Generated from ../_async by tools/generate_sync_client.py: change the asynchronous side.
"""The client of one server."""

from __future__ import annotations

from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import httpx2

from raincheck.client._sync.connection import READ_TIMEOUT, Connection, answered_with, json_of
from raincheck.client._sync.following import updates_of_many
from raincheck.client._sync.handle import OperationHandle, accepted, answered
from raincheck.client.addresses import Addresses
from raincheck.client.deadline import Deadline
from raincheck.client.errors import UnexpectedAnswer
from raincheck.client.listing import list_parameters
from raincheck.client.models import OperationState, state_from
from raincheck.client.submitting import SubmitHeaders, replayable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from datetime import datetime, timedelta

    from raincheck.client.submitting import Key

T = TypeVar("T")
_MOST_WATCHED = 100
_ANSWER_GRACE = 15.0


class Client:
    """Submits operations to a server and follows them. Use it as a context manager, or call ``close``.

    :param base_url: where the application is, with whatever prefix a proxy adds: ``https://example.com/api``.
    :param auth: anything that httpx2 takes: a pair, a function, an ``httpx2.Auth``.
    :param headers: sent with each request.
    :param http: an httpx2 client of your own, for proxies, certificates or transports; you close it.
    :param operations: where the operations are below ``base_url``; ``/x/operations`` for ``Raincheck(prefix="/x")``.
    :param patience: for how many seconds a server that does not answer, or is busy, is asked again.
    :param silence: after how many seconds without a byte a stream counts as dead; servers ping every 15.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: Any = None,
        headers: Mapping[str, str] | None = None,
        http: httpx2.Client | None = None,
        operations: str = "/operations",
        patience: float = 60.0,
        silence: float = 20.0,
    ) -> None:
        addresses = Addresses(base_url, operations)
        self._own = http is None
        self._http = httpx2.Client() if http is None else http
        if self._own:
            self._http.auth = auth
            self._http.headers.update(headers or {})
        elif auth is not None or headers is not None:
            msg = "pass auth= and headers= to your own httpx2 client, not beside http="
            raise ValueError(msg)
        self._connection = Connection(self._http, addresses, patience=patience, silence=silence)
        self._addresses = addresses

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless they are of your own ``http``."""
        if self._own:
            self._http.close()

    # --- submitting -----------------------------------------------------------------------------------------------

    def submit(  # noqa: PLR0913 - what a request may say
        self,
        path: str,
        *,
        method: str = "POST",
        json: Any = None,
        params: Any = None,
        data: Mapping[str, Any] | None = None,
        files: Any = None,
        content: Any = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: Key = True,
        wait: float | None = None,
        timeout: timedelta | float | str | None = None,
        metadata: Mapping[str, str] | None = None,
        delay: timedelta | float | str | None = None,
        not_before: datetime | None = None,
        callback_url: str | None = None,
        callback_events: Iterable[str] = (),
    ) -> OperationHandle:
        """Submit an operation and return its handle.

        ``json``, ``params``, ``data``, ``files`` and ``content`` are httpx2's.

        :param path: the route, below ``base_url``.
        :param idempotency_key: makes repeated submits one operation. True makes a key, so that the client may send the
            request again after a cut; None sends no key, and then the request is sent once.
        :param wait: seconds to wait for the result in the same request (at most 60 count).
        :param timeout: limits the whole operation, at the server (``Operation-Timeout``).
        :param metadata: strings that are kept with the operation.
        :param delay: how long it waits before it starts; or ``not_before``, when.
        :param callback_url: gets a webhook when the operation ends, where the application allows it.
        :raises RequestRefused: the server refused it; nothing was accepted.
        :raises ServerUnreachable: no answer came. With the same key it can be submitted again without doubling it.
        """
        asked = SubmitHeaders(
            idempotency_key=idempotency_key,
            wait=wait,
            timeout=timeout,
            metadata=metadata,
            delay=delay,
            not_before=not_before,
            callback_url=callback_url,
            callback_events=callback_events,
        )
        body = {"json": json, "data": data, "files": files, "content": content}
        response = self._connection.send(
            method,
            self._addresses.of_route(path),
            again=idempotency_key is not None and replayable(content, files),
            read=READ_TIMEOUT if not wait else wait + _ANSWER_GRACE,
            headers=asked.beside(headers or {}),
            **{name: value for name, value in {**body, "params": params}.items() if value is not None},
        )
        return self._handle_of(response)

    def _handle_of(self, response: httpx2.Response) -> OperationHandle:
        # Only the function's own answer names its operation in a header, and that may be a 202 as well.
        operation_id = response.headers.get("operation-id")
        if operation_id is not None:
            return answered(self._connection, response, operation_id)
        if response.status_code == 202:  # noqa: PLR2004 - RFC 9110 §15.3.3: accepted
            return accepted(self._connection, response)
        if response.is_error:
            raise answered_with(response)
        advice = "Is the route decorated by Raincheck?"
        msg = f"{response.url.path} answered {response.status_code} and accepted no operation. {advice}"
        raise UnexpectedAnswer(msg)

    @overload
    def run(
        self,
        path: str,
        kind: type[T],
        *,
        on_update: Callable[[OperationState], object] | None = None,
        progress: bool = False,
        patience: timedelta | float | str | None = None,
        **options: Any,
    ) -> T: ...
    @overload
    def run(
        self,
        path: str,
        kind: Any = None,
        *,
        on_update: Callable[[OperationState], object] | None = None,
        progress: bool = False,
        patience: timedelta | float | str | None = None,
        **options: Any,
    ) -> Any: ...
    def run(
        self,
        path: str,
        kind: Any = None,
        *,
        on_update: Callable[[OperationState], object] | None = None,
        progress: bool = False,
        patience: timedelta | float | str | None = None,
        **options: Any,
    ) -> Any:
        """Submit an operation, follow it, and return its result.

        :param kind: the result's type; see ``OperationHandle.result``, whose errors this raises too.
        :param on_update: called with each newer state.
        :param progress: show a bar, in terminals and notebooks.
        :param patience: how long to wait for the end at most; the operation goes on after it.
        :param options: those of ``submit``.
        """
        deadline = Deadline(patience)
        handle = self.submit(path, **options)
        if on_update is not None or progress:
            with _display() if progress else nullcontext() as display:
                with closing(handle.updates(deadline.remaining)) as updates:
                    for state in updates:
                        if display is not None:
                            display.update(state)
                        if on_update is not None:
                            on_update(state)
        return handle.result(kind, timeout=deadline.remaining)

    # --- what was submitted ---------------------------------------------------------------------------------------

    def operation(self, operation_id: str) -> OperationHandle:
        """Return the handle of an operation by its id; nothing is sent yet."""
        return OperationHandle(self._connection, self._addresses.of_operation(operation_id), operation_id)

    def list(
        self,
        *,
        status: str | Iterable[str] | None = None,
        kind: str | None = None,
        tags: Mapping[str, str] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int | None = None,
    ) -> Generator[OperationState]:
        """Give the caller's operations, newest first, page after page, without their results.

        :param tags: metadata that they must have.
        :param limit: how many at most.
        :raises NotFound: the application has no owner rule, so nobody may list.
        """
        asked = list_parameters(status, kind, tags, created_after, created_before, limit)
        left = limit
        while left is None or left > 0:
            page = json_of(self._connection.send("GET", self._addresses.operations, params=asked))
            if not isinstance(page, dict) or not isinstance(page.get("items"), list):
                msg = f"{self._addresses.operations} answered with no page of operations."
                raise UnexpectedAnswer(msg)
            for item in page["items"][:left]:
                yield state_from(item)
            left = None if left is None else left - len(page["items"])
            token = page.get("next_page_token")
            if token is None:
                return
            asked = [pair for pair in asked if pair[0] != "page_token"] + [("page_token", str(token))]

    def watch(
        self, operations: Iterable[str | OperationHandle], *, progress: bool = False
    ) -> Generator[OperationState]:
        """Follow many operations over one connection: the state of each and then each newer one, until all are done.

        :param operations: ids or handles, at most 100.
        :param progress: show a bar for each.
        """
        ids = dict.fromkeys(each if isinstance(each, str) else each.id for each in operations)
        if not 1 <= len(ids) <= _MOST_WATCHED:
            msg = f"watch() takes 1 to {_MOST_WATCHED} operations, not {len(ids)}; watch them in portions"
            raise ValueError(msg)
        urls = {each: self._addresses.of_operation(each) for each in ids}
        with _display() if progress else nullcontext() as display:
            with closing(updates_of_many(self._connection, urls)) as states:
                for state in states:
                    if display is not None:
                        display.update(state)
                    yield state


def _display() -> Any:
    from raincheck.client.display import ProgressDisplay  # noqa: PLC0415 - rich is imported where it is shown

    return ProgressDisplay()
