"""What the operation routes answer: status, result, cancel, retry, delete, list."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.responses import Response

from raincheck.core import wire
from raincheck.core.errors import ListDisabled, MalformedRequest, OperationFinished
from raincheck.core.operation import Operation, Status
from raincheck.fastapi import paging
from raincheck.fastapi.negotiation import (
    applied,
    clamped_wait,
    etag_matches,
    idempotency_key,
    parse_prefer,
)
from raincheck.fastapi.results import result_response, retry_after_seconds

if TYPE_CHECKING:
    from starlette.requests import Request

    from raincheck.fastapi.serving import Gateway

_JSON = "application/json"


class OperationHandlers:
    """Handlers of the operation routes. An ``owner`` of None is the operator, who sees all."""

    def __init__(self, gateway: Gateway, *, listed: bool) -> None:
        self._gateway = gateway
        self._listed = listed

    async def get_operation(self, request: Request, owner: str | None) -> Response:
        """Return the operation; with `wait` hold until it is done, with `after` until its version is higher."""
        service = self._gateway.parts().service
        operation_id = request.path_params["operation_id"]
        preferences = parse_prefer(request.headers.getlist("prefer"))
        seconds, after = _long_poll(request)
        waited = seconds is None and preferences.wait is not None
        seconds = preferences.wait if seconds is None else seconds
        if seconds:
            operation = await service.wait(operation_id, owner=owner, seconds=seconds, after=after)
        else:
            operation = await service.get(operation_id, owner=owner)
        headers = {"ETag": f'W/"{operation.version}"', "Cache-Control": "private, no-cache"}
        preference = applied(preferences, waited=waited, asynchronous=False)
        if preference is not None:
            headers["Preference-Applied"] = preference
        if etag_matches(request.headers.get("if-none-match"), operation.version):
            return Response(status_code=304, headers=headers)
        return await self._resource(request, operation, headers=headers)

    async def get_operation_result(self, request: Request, owner: str | None) -> Response:
        """Replay the function's own answer: status, media type and bytes, with Range for files."""
        parts = self._gateway.parts()
        operation_id = request.path_params["operation_id"]
        wait = parse_prefer(request.headers.getlist("prefer")).wait
        if wait:
            operation = await parts.service.wait(operation_id, owner=owner, seconds=wait)
        else:
            operation = await parts.service.get(operation_id, owner=owner)
        advice = parts.service.poll_after(operation)
        response = await result_response(operation, request=request, blobs=parts.blobs, poll_after=advice)
        if wait is not None:
            response.headers["Preference-Applied"] = f"wait={int(wait)}"
        return response

    async def cancel_operation(self, request: Request, owner: str | None) -> Response:
        """Cancel what is queued; ask what is running to stop. Asking again gives the same answer."""
        service = self._gateway.parts().service
        operation = await service.cancel(request.path_params["operation_id"], owner=owner)
        if operation.status in {Status.SUCCEEDED, Status.FAILED}:
            detail = f"The operation has already {operation.status.value}; there is nothing left to cancel."
            raise OperationFinished(detail, operation_id=operation.id)
        status = 200 if operation.done else 202
        return await self._resource(request, operation, status=status)

    async def retry_operation(self, request: Request, owner: str | None) -> Response:
        """Submit the request of a failed or cancelled operation again, as a new operation."""
        service = self._gateway.parts().service
        keys = request.headers.getlist("idempotency-key")
        if len(keys) > 1:
            detail = f"Idempotency-Key was sent {len(keys)} times. Send it once."
            raise MalformedRequest(detail)
        key = idempotency_key(keys[0]) if keys else None
        submitted = await service.rerun(request.path_params["operation_id"], owner=owner, idempotency_key=key)
        operation = submitted.operation
        here = self._gateway.links(request).of(operation.id)["self"]
        headers = {"Location": here, "Operation-Location": here}
        if type(submitted).__name__ == "Replayed":
            headers["Idempotency-Replayed"] = "true"
        return await self._resource(request, operation, status=202, headers=headers)

    async def delete_operation(self, request: Request, owner: str | None) -> Response:
        """Delete a finished operation; its id answers 410 for a week."""
        await self._gateway.parts().service.delete(request.path_params["operation_id"], owner=owner)
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    async def list_operations(self, request: Request, owner: str | None) -> Response:
        """Return a page of the caller's operations, newest first, without their results."""
        if not self._listed:
            detail = "This application has no owner rule, so nobody may list. Configure Raincheck(owner=…)."
            raise ListDisabled(detail)
        service = self._gateway.parts().service
        pairs = request.query_params.multi_items()
        query = paging.list_query(pairs, owner=owner)
        found = await service.list_page(query)
        page = found[: query.limit - 1]
        links = self._gateway.links(request)
        items = [wire.resource(one, links=links, poll_after=service.poll_after(one), with_result=False) for one in page]
        headers = {"Cache-Control": "no-store"}
        following = "null"
        if len(found) > len(page):
            text = paging.page_token(query, last_id=page[-1].id)
            headers["Link"] = paging.next_link(links.base, pairs, text)
            following = f'"{text}"'
        body = b'{"items": [' + b", ".join(items) + b'], "next_page_token": ' + following.encode() + b"}"
        return Response(body, media_type=_JSON, headers=headers)

    async def _resource(
        self,
        request: Request,
        operation: Operation,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        service = self._gateway.parts().service
        advice = service.poll_after(operation)
        body = wire.resource(
            operation,
            links=self._gateway.links(request),
            poll_after=advice,
            queue_position=await service.queue_position(operation),
        )
        kept = {"Cache-Control": "no-store", **(headers or {})}
        if not operation.done:
            kept["Retry-After"] = str(retry_after_seconds(advice))
        return Response(body, status, media_type=_JSON, headers=kept)


def _long_poll(request: Request) -> tuple[float | None, int | None]:
    """Read ``?wait=`` and ``?after=``.

    :raises MalformedRequest: a parameter is not a number in range.
    """
    wait = _single(request, "wait")
    after = _single(request, "after")
    seconds = None if wait is None else clamped_wait(wait)
    if wait is not None and seconds is None:
        detail = "wait must be a number of seconds; at most 60 count."
        raise MalformedRequest(detail)
    if after is not None and not re.fullmatch(r"[0-9]{1,15}", after):
        detail = "after must be the version that the client has, a whole number."
        raise MalformedRequest(detail)
    return seconds, None if after is None else int(after)


def _single(request: Request, name: str) -> str | None:
    values = request.query_params.getlist(name)
    if len(values) > 1:
        detail = f"{name} was sent {len(values)} times. Send it once."
        raise MalformedRequest(detail)
    return values[0] if values else None
