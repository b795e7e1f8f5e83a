# Generated from ../_async by tools/generate_sync_client.py: change the asynchronous side.
"""Requests to one server: sent again where that is safe, with typed errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import stamina

from raincheck.client.addresses import shown
from raincheck.client.deadline import Deadline
from raincheck.client.errors import Busy, RequestRefused, ServerUnreachable, UnexpectedAnswer, WaitTimedOut, refused
from raincheck.client.problems import problem_of, seconds_of_retry_after

if TYPE_CHECKING:
    from raincheck.client.addresses import Addresses

READ_TIMEOUT = 30.0
_OTHER_TIMEOUT = 10.0
_SENT_AGAIN = frozenset({429, 502, 503, 504})
_OWN_MISTAKES = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
_ENDLESS = Deadline(None)


class Connection:
    """Sends requests through an httpx2 client.

    :param patience: for how many seconds a server that does not answer, or is busy, is asked again.
    :param silence: after how many seconds without a byte an event stream counts as dead; the server pings every 15.
    """

    def __init__(self, http: httpx2.Client, addresses: Addresses, *, patience: float, silence: float) -> None:
        self.http = http
        self.addresses = addresses
        self.patience = patience
        self.silence = silence

    def send(
        self,
        method: str,
        url: httpx2.URL,
        *,
        deadline: Deadline = _ENDLESS,
        again: bool = True,
        read: float = READ_TIMEOUT,
        stream: bool = False,
        silence_passes: bool = True,
        **options: Any,
    ) -> httpx2.Response:
        """Send a request and return its answer, when that is no error or the operation's own.

        :param again: whether it may be sent again after a cut, or to a server that is busy.
        :param read: seconds to wait for the next byte.
        :param silence_passes: whether a server that accepts and then says nothing is worth another try.
        :raises RequestRefused: the server answered with an error.
        :raises ServerUnreachable: no answer came for as long as the client has patience.
        :raises WaitTimedOut: the deadline passed first.
        """
        patience = Deadline(min(self.patience, deadline.remaining) if again else 0.0)
        pause = min(_LONGEST_PAUSE, patience.remaining / 4)
        attempts = stamina.retry_context(
            on=lambda error: (
                (silence_passes or not isinstance(error, httpx2.ReadTimeout)) and _worth_another_try(error, patience)
            ),
            attempts=None,
            timeout=None,
            wait_max=pause,
        )
        try:
            for attempt in attempts:
                with attempt:
                    return self._sent_once(method, url, deadline, read, stream=stream, options=options)
        except httpx2.TransportError as error:
            if deadline.passed:
                msg = "The server did not answer before the caller's time was over."
                raise WaitTimedOut(msg) from error
            raise ServerUnreachable(_unreachable(url, error, again=again)) from error
        raise AssertionError(url)  # pragma: no cover - the loop returns or raises

    def _sent_once(
        self, method: str, url: httpx2.URL, deadline: Deadline, read: float, *, stream: bool, options: dict[str, Any]
    ) -> httpx2.Response:
        remaining = max(deadline.remaining, _SHORTEST_PAUSE)
        other = min(_OTHER_TIMEOUT, remaining)
        timeout = httpx2.Timeout(
            connect=other, write=min(READ_TIMEOUT, remaining), pool=None, read=min(read, remaining)
        )
        request = self.http.build_request(method, url, timeout=timeout, **options)
        response = self.http.send(request, stream=stream)
        if response.status_code < 300 or "operation-id" in response.headers:  # noqa: PLR2004 - RFC 9110 §15
            return response
        if stream:
            try:
                response.read()
            finally:
                response.close()
        raise answered_with(response)


def answered_with(response: httpx2.Response) -> RequestRefused:
    """Return the error that an answer is."""
    status = response.status_code
    wait = seconds_of_retry_after(response.headers.get("retry-after"))
    return refused(problem_of(status, response.content), status=status, retry_after=wait)


def json_of(response: httpx2.Response) -> Any:
    """Return the JSON of an answer.

    :raises UnexpectedAnswer: it is none.
    """
    try:
        return response.json()
    except ValueError as error:
        kind = response.headers.get("content-type", "no media type")
        advice = "Is it a Raincheck application?"
        msg = f"{response.url} answered {response.status_code} with {kind} instead of JSON. {advice}"
        raise UnexpectedAnswer(msg) from error


def _worth_another_try(error: Exception, patience: Deadline) -> bool | float:
    """Tell stamina whether, and where the server says so, when; never to sleep past the end of the patience."""
    if patience.passed:
        return False
    if isinstance(error, Busy):
        if error.status not in _SENT_AGAIN:
            return False
        wait = error.retry_after
        return True if wait is None else wait < patience.remaining and max(wait, _SHORTEST_PAUSE)
    return isinstance(error, httpx2.TransportError) and not isinstance(error, _OWN_MISTAKES)


def _unreachable(url: httpx2.URL, error: Exception, *, again: bool) -> str:
    reason = str(error) or type(error).__name__
    advice = "Is the server running?" if again else "It was sent once; give it an idempotency key to send it again."
    return f"No answer from {shown(url)}: {reason}. {advice}"
