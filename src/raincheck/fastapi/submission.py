"""From a validated request to an accepted operation and its answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from raincheck.core import wire
from raincheck.core.errors import BodyTooLarge, RequestProblem
from raincheck.core.fingerprint import fingerprint
from raincheck.fastapi.negotiation import Preferences, SubmitOptions, applied, submit_options
from raincheck.fastapi.problems import problem_response
from raincheck.fastapi.ready_response import ReadyResponse
from raincheck.fastapi.results import result_response, retry_after_seconds
from raincheck.fastapi.stream_making import Streams
from raincheck.ports import Accepted, Replayed
from raincheck.roles.service import Submission

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from raincheck.core.operation import Operation
    from raincheck.fastapi.serving import Gateway, Serving
    from raincheck.fastapi.stored_input import CapturedInput, InputCapture
    from raincheck.ports import Blob
    from raincheck.ports_functions import Kind

_ALWAYS = ((b"vary", b"Prefer"), (b"cache-control", b"no-store"), (b"content-type", b"application/json"))


class Submitter:
    """Accepts the requests of one operation route."""

    def __init__(self, *, gateway: Gateway, kind: Kind, capture: InputCapture) -> None:
        self._gateway = gateway
        self._kind = kind
        self._capture = capture
        self._wait = kind.wait.total_seconds()
        self._streams = Streams(gateway)

    async def accept(
        self,
        request: Request,
        values: Mapping[str, Any],
        *,
        owner: str,
        response: Response | None,
    ) -> Response:
        """Make the request durable, then answer: 202, or the function's own answer if it comes in time.

        :param response: carries the headers that the route's dependencies set; None where it has none.
        """
        try:
            answer = await self._accept(request, values, owner)
        except RequestProblem as problem:
            answer = problem_response(problem)
        if response is not None and response.raw_headers:
            answer.raw_headers.extend(response.raw_headers)
        return answer

    async def _accept(self, request: Request, values: Mapping[str, Any], owner: str) -> Response:
        parts = self._gateway.parts()
        options = submit_options(request.scope["headers"], clock=parts.clock, callbacks=parts.callbacks)
        if options.stream:
            # A reader that reconnects repeats its request: that attaches, and never creates.
            attached = await self._streams.attached(request, owner)
            if attached is not None:
                return attached
        if options.content_length is not None:
            _check_size(options.content_length, parts)
        await parts.service.check_room()
        operation_id = parts.service.new_id()
        seconds = 0.0 if options.stream else self._seconds_to_wait(options.preferences)
        captured = await self._store_input(request, values, parts, operation_id, options.content_type)
        if not seconds:
            submitted = await self._submit(parts, operation_id, captured, options, owner)
            if isinstance(submitted, Replayed):
                return await self._attach(request, parts, submitted.operation, options)
            return self._accepted(request, parts, submitted.operation, options)
        with parts.service.watch(operation_id) as watcher:
            submitted = await self._submit(parts, operation_id, captured, options, owner)
            if isinstance(submitted, Accepted):
                operation = await parts.service.wait_on(watcher, submitted.operation, seconds=seconds)
                return await self._answer(request, parts, operation, options)
        return await self._attach(request, parts, submitted.operation, options)

    async def _store_input(
        self,
        request: Request,
        values: Mapping[str, Any],
        parts: Serving,
        operation_id: str,
        content_type: str | None,
    ) -> CapturedInput:
        async def put_blob(name: str, chunks: AsyncIterator[bytes]) -> Blob:
            # The stored request names files without the operation's id, so that a retry can take them along.
            return replace(await parts.blobs.put(f"{operation_id}/0/{name}", chunks), name=name)

        try:
            captured = await self._capture.capture(request, values, put_blob, content_type=content_type)
            _check_size(captured.size, parts)
        except BaseException:
            await parts.blobs.remove_operations([operation_id])
            raise
        return captured

    async def _submit(
        self,
        parts: Serving,
        operation_id: str,
        captured: CapturedInput,
        options: SubmitOptions,
        owner: str,
    ) -> Accepted | Replayed:
        key = options.idempotency_key
        submission = Submission(
            id=operation_id,
            kind=self._kind,
            owner=owner,
            input=captured.stored,
            metadata=options.metadata or {},
            timeout=options.timeout,
            not_before=options.not_before,
            callback=options.callback,
            trace=options.trace,
            idempotency_key=key,
            fingerprint=None if key is None else fingerprint(captured.content()),
        )
        if captured.values is not None:
            parts.handover.give(operation_id, captured.values, size=captured.size)
        try:
            submitted = await parts.service.submit(submission)
        except Exception:
            # Refused, so nothing was written. A cancelled wait is no refusal: the commit may still come.
            await self._forget(parts, operation_id, captured)
            raise
        if isinstance(submitted, Replayed):
            await self._forget(parts, operation_id, captured)
        return submitted

    async def _forget(self, parts: Serving, operation_id: str, captured: CapturedInput) -> None:
        parts.handover.take(operation_id)
        if captured.files:
            await parts.blobs.remove_operations([operation_id])

    # --- answers --------------------------------------------------------------------------------------------------

    def _seconds_to_wait(self, preferences: Preferences) -> float:
        if preferences.wait is not None:
            return preferences.wait
        return 0.0 if preferences.respond_async else self._wait

    async def _attach(self, request: Request, parts: Serving, operation: Operation, options: SubmitOptions) -> Response:
        """Answer a repeated request with its operation; only this request's own preference waits."""
        wait = options.preferences.wait
        if wait and not options.stream:
            operation = await parts.service.wait(operation.id, owner=operation.owner, seconds=wait)
            answer = await self._answer(request, parts, operation, options)
        else:
            answer = self._accepted(request, parts, operation, options)
        answer.raw_headers.append((b"idempotency-replayed", b"true"))
        return answer

    async def _answer(
        self,
        request: Request,
        parts: Serving,
        operation: Operation,
        options: SubmitOptions,
    ) -> Response:
        if not operation.done:
            return self._accepted(request, parts, operation, options)
        answer = await result_response(operation, request=request, blobs=parts.blobs)
        preference = applied(options.preferences, waited=True, asynchronous=False)
        said = {name for name, _ in answer.raw_headers}
        if b"vary" in said:
            answer.headers.add_vary_header("Prefer")
        else:
            answer.raw_headers.append((b"vary", b"Prefer"))
        if preference is not None:
            if b"preference-applied" in said:  # the function's own says nothing of this request
                del answer.headers["Preference-Applied"]
            answer.raw_headers.append((b"preference-applied", preference.encode("latin-1")))
        return answer

    def _accepted(
        self,
        request: Request,
        parts: Serving,
        operation: Operation,
        options: SubmitOptions,
    ) -> Response:
        advice = parts.service.poll_after(operation)
        links = self._gateway.links(request)
        here = f"{links.base}/{operation.id}".encode("latin-1", "replace")
        headers = [
            (b"location", here),
            (b"operation-location", here),
            (b"retry-after", b"%d" % retry_after_seconds(advice)),
            *_ALWAYS,
        ]
        preferences = options.preferences
        if options.stream:
            return self._streams.submitted(request, operation, headers[:2])
        preference = applied(preferences, waited=preferences.wait is not None, asynchronous=True)
        if preference is not None:
            headers.append((b"preference-applied", preference.encode("latin-1")))
        return ReadyResponse(wire.resource(operation, links=links, poll_after=advice), 202, headers)


def _check_size(size: int, parts: Serving) -> None:
    """Refuse a body over the limit, where FastAPI has not refused it while reading."""
    if size > parts.max_body:
        detail = f"The request body has {size} bytes; at most {parts.max_body} are accepted."
        raise BodyTooLarge(detail)
