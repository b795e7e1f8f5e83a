"""``raincheck ls``: operations, newest first, for eyes or for scripts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console

from raincheck.cli.ending import UsageError
from raincheck.cli.formats import duration, printable, progress, run_time
from raincheck.cli.server import server_url
from raincheck.cli.table import print_rows
from raincheck.cli.view import opened_view
from raincheck.core.operation import Operation, Status
from raincheck.core.wire import Links, resource
from raincheck.ports import ListQuery

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINKS = Links("/operations")
_PAGE = 500
_COLUMNS = ("ID", "KIND", "STATUS", "ATTEMPT", "PROGRESS", "AGE", "TIME", "OWNER")


def print_operations(
    store: str | None,
    *,
    server: str | None,
    headers: Sequence[str],
    statuses: str | None,
    kind: str | None,
    owner: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print operations of all owners, or of one; through a server those of the caller.

    :raises UsageError: an unknown status or store.
    :raises StoreError: the store cannot be read.
    """
    wanted = _statuses(statuses)
    url = server_url(server, store)
    if url is not None:
        from raincheck.cli.remote import print_remote_operations  # noqa: PLC0415 - needs the client

        print_remote_operations(url, headers, statuses=wanted, kind=kind, owner=owner, limit=limit, as_json=as_json)
        return
    found = _pages(store, statuses=wanted, kind=kind, owner=owner, limit=limit)
    if as_json:
        for operation in found:
            print(resource(operation, links=LINKS, with_result=False).decode())
        return
    now = datetime.now(UTC)
    print_rows(Console(), _COLUMNS, [_cells(operation, now) for operation in found])


def _statuses(text: str | None) -> tuple[Status, ...]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    try:
        return tuple(Status(name) for name in names)
    except ValueError as error:
        known = ", ".join(status.value for status in Status)
        msg = f"--status {text!r} names an unknown status. Known are {known}; separate several with commas."
        raise UsageError(msg) from error


def _pages(
    url: str | None,
    *,
    statuses: tuple[Status, ...],
    kind: str | None,
    owner: str | None,
    limit: int,
) -> Iterator[Operation]:
    """Yield up to ``limit`` operations; in pages, so that a long list holds neither memory nor a snapshot."""
    before: str | None = None
    with opened_view(url) as view:
        while limit > 0:
            query = ListQuery(owner=owner, statuses=statuses, kind=kind, before_id=before, limit=min(limit, _PAGE))
            page = view.list_page(query)
            yield from page
            if len(page) < query.limit:
                return
            limit -= len(page)
            before = page[-1].id


def _cells(operation: Operation, now: datetime) -> tuple[str, ...]:
    return (
        operation.id,
        printable(operation.kind),
        operation.status.value,
        f"{operation.attempt}/{operation.max_attempts}",
        "" if operation.done else progress(operation.progress),  # the last word of a run that is over misleads
        duration(now - operation.created_at),
        run_time(operation, now),
        printable(operation.owner),
    )
