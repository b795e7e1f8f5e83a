"""``raincheck ls``: operations, newest first, for eyes or for scripts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from raincheck.cli.ending import UsageError
from raincheck.cli.formats import duration, printable, progress, run_time
from raincheck.cli.server import server_url
from raincheck.cli.view import opened_view
from raincheck.core.operation import Operation, Status
from raincheck.core.wire import Links, resource
from raincheck.ports import ListQuery

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COLOURS = {
    Status.QUEUED: "cyan",
    Status.RUNNING: "blue",
    Status.CANCELLING: "yellow",
    Status.SUCCEEDED: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "yellow",
}
LINKS = Links("/operations")
_PAGE = 500
_COLUMNS = ("ID", "KIND", "STATUS", "ATTEMPT", "PROGRESS", "AGE", "TIME", "OWNER")
_FIXED = frozenset({"ID", "STATUS", "ATTEMPT", "AGE", "TIME"})
_NAMES = frozenset(status.value for status in Status)


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


def print_rows(console: Console, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table: coloured and fitted into a terminal, or plain and whole."""
    if console.is_terminal:
        _print_table(console, columns, rows)
    else:
        _print_plain([tuple(columns), *rows])


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


def _print_table(console: Console, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        console.print("No operations.", style="dim")
        return
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=True, overflow="fold" if name in _FIXED else "ellipsis")
    status = columns.index("STATUS")
    for row in rows:
        # Text, because a kind or an owner may contain what rich takes for markup.
        cells = [Text(cell) for cell in row]
        if row[status] in _NAMES:  # a later server may know more
            cells[status].stylize(COLOURS[Status(row[status])])
        table.add_row(*cells)
    console.print(table)


def _print_plain(lines: Sequence[tuple[str, ...]]) -> None:
    """Print aligned columns that nothing shortens; scripts should prefer ``--json``."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
