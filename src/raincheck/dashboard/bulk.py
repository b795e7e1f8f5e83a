"""One action on all operations that match a filter: counted first, then done in portions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from raincheck.core.errors import OperationFinished, QueueFull, RequestProblem
from raincheck.core.operation import Operation, Status
from raincheck.dashboard.access import Viewer, record
from raincheck.fastapi.paging import list_query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raincheck.fastapi.serving import Serving
    from raincheck.ports import ListQuery

MOST_COUNTED = 10_000
_PORTION = 200
_PAGE = 200
_FITS = {
    "cancel": (Status.QUEUED, Status.RUNNING),
    "retry": (Status.FAILED, Status.CANCELLED),
}


class BulkRequest(BaseModel):
    """What the page asks for.

    ``batch`` names the whole action, so that a repeated request retries nothing twice. ``until`` is the newest id
    that was counted: what came later does not belong to the action; ``after_id`` is where the former portion ended.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    action: Literal["cancel", "retry"]
    filters: list[tuple[str, str]] = Field(default=[], max_length=30)
    ids: list[str] | None = Field(default=None, max_length=_PORTION)
    batch: str = Field(pattern=r"^[0-9a-f-]{8,64}$")
    until: str | None = None
    after_id: str | None = None


async def count(parts: Serving, action: str, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return how many operations an action would reach, to 10,000 at most, and the newest of them."""
    query = _applicable(query_of(pairs), action)
    if query is None:
        return {"count": 0, "capped": False, "until": None}
    newest: str | None = None
    counted = 0
    before = query.before_id
    while counted < MOST_COUNTED:
        page = await parts.service.list_page(replace(query, before_id=before, limit=_PAGE))
        counted += len(page)
        if page:
            newest = newest or page[0].id
            before = page[-1].id
        if len(page) < _PAGE:
            return {"count": counted, "capped": False, "until": newest}
    return {"count": counted, "capped": True, "until": newest}


async def act(parts: Serving, visitor: Viewer, wish: BulkRequest) -> dict[str, Any]:
    """Act on the next portion; ``next`` says where the following one begins, None when all is done."""
    found, following = await _portion(parts, wish)
    done: list[str] = []
    refused: dict[str, str] = {}
    for operation in found:
        try:
            await _do(parts, wish, operation)
        except QueueFull:
            raise  # the rest would be refused as well
        except RequestProblem as problem:
            refused[operation.id] = problem.title
            continue
        record(visitor, wish.action, operation.id, operation.kind)
        done.append(operation.id)
    return {"done": done, "refused": refused, "next": following}


async def _do(parts: Serving, wish: BulkRequest, operation: Operation) -> None:
    if wish.action == "retry":
        key = f"dashboard:{wish.batch}:{operation.id}"
        await parts.service.rerun(operation.id, owner=None, idempotency_key=key)
        return
    cancelled = await parts.service.cancel(operation.id, owner=None)
    if cancelled.status in {Status.SUCCEEDED, Status.FAILED}:
        detail = f"The operation has already {cancelled.status.value}."
        raise OperationFinished(detail, operation_id=operation.id)


async def _portion(parts: Serving, wish: BulkRequest) -> tuple[list[Operation], str | None]:
    if wish.ids is not None:
        return [await parts.service.get(each, owner=None) for each in wish.ids], None
    query = _applicable(query_of(wish.filters), wish.action)
    if query is None or wish.until is None:
        return [], None
    # One above the newest counted: ids are compared as texts, and "~" sorts after all of theirs.
    before = wish.after_id or f"{wish.until}~"
    found = await parts.service.list_page(replace(query, before_id=before, limit=_PORTION))
    return found, found[-1].id if len(found) == _PORTION else None


def _applicable(query: ListQuery, action: str) -> ListQuery | None:
    """Narrow a query to the statuses that an action fits; None where none is left."""
    statuses = tuple(each for each in _FITS[action] if not query.statuses or each in query.statuses)
    return replace(query, statuses=statuses) if statuses else None


def query_of(pairs: Sequence[tuple[str, str]]) -> ListQuery:
    """Read the page's filters: those of the list route, and ``owner``.

    :raises MalformedRequest: one cannot be read.
    """
    owner = next((value for name, value in pairs if name == "owner"), None)
    return list_query([pair for pair in pairs if pair[0] != "owner"], owner=owner)
