"""The query of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raincheck.core.moments import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

_LARGEST_PAGE = 200


def list_parameters(
    status: str | Iterable[str] | None,
    kind: str | None,
    tags: Mapping[str, str] | None,
    created_after: datetime | None,
    created_before: datetime | None,
    limit: int | None,
) -> list[tuple[str, str]]:
    """Return the parameters of the first page.

    :raises ValueError: a time without a zone.
    """
    found = [("page_size", str(min(limit or _LARGEST_PAGE, _LARGEST_PAGE)))]
    if status is not None:
        found += [("status", each) for each in ([status] if isinstance(status, str) else status)]
    if kind is not None:
        found.append(("kind", kind))
    found += [(f"tag.{key}", value) for key, value in (tags or {}).items()]
    for name, moment in (("created_after", created_after), ("created_before", created_before)):
        if moment is not None:
            found.append((name, _text(name, moment)))
    return found


def _text(name: str, moment: datetime) -> str:
    if moment.tzinfo is None:
        msg = f"{name} has no time zone; say which hour it means, such as datetime.now(UTC) - timedelta(hours=1)"
        raise ValueError(msg)
    from datetime import UTC  # noqa: PLC0415

    return rfc3339(moment.astimezone(UTC))
