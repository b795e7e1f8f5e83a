"""The list route's parameters and its opaque page tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from raincheck.core.errors import MalformedRequest
from raincheck.core.names import is_operation_id
from raincheck.core.operation import Status
from raincheck.fastapi.negotiation import LARGEST_METADATA, parse_moment
from raincheck.ports import ListQuery

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_LARGEST_PAGE = 200
_DEFAULT_PAGE = 50
_KNOWN = frozenset({"status", "kind", "created_after", "created_before", "page_size", "page_token"})


def list_query(pairs: Iterable[tuple[str, str]], *, owner: str | None) -> ListQuery:
    """Read the query of the list route; one item more than the page is asked for, to know whether more follow.

    :raises MalformedRequest: a parameter cannot be read.
    """
    single: dict[str, str] = {}
    statuses: list[Status] = []
    tags: dict[str, str] = {}
    for name, value in pairs:
        if "\x00" in value or "\x00" in name:
            detail = f"{name!r} holds a NUL character, which no field of an operation has."
            raise MalformedRequest(detail)
        if name == "status":
            statuses.extend(_status(text) for text in value.split(","))
        elif name.startswith("tag.") and len(name) > len("tag."):
            _once(tags, name.removeprefix("tag."), value, name)
        elif name in _KNOWN:
            _once(single, name, value, name)
    if len(tags) > LARGEST_METADATA:
        # No operation could match, and databases take a limited number of conditions.
        detail = f"{len(tags)} tags were sent, and no operation has more than {LARGEST_METADATA}. Send fewer."
        raise MalformedRequest(detail)
    query = ListQuery(
        owner=owner,
        statuses=tuple(dict.fromkeys(statuses)),
        kind=single.get("kind"),
        tags=tags,
        created_after=_moment(single, "created_after"),
        created_before=_moment(single, "created_before"),
        limit=_page_size(single.get("page_size")) + 1,
    )
    token = single.get("page_token")
    if token is None:
        return query
    return _continued(query, token)


def _once(found: dict[str, str], key: str, value: str, name: str) -> None:
    if key in found:
        detail = f"{name[:80]} was sent twice. Send it once."
        raise MalformedRequest(detail)
    found[key] = value


def page_token(query: ListQuery, *, last_id: str) -> str:
    """Return the token of the page after an id, bound to the filters."""
    text = json.dumps([last_id, _filters(query)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def next_link(path: str, pairs: Iterable[tuple[str, str]], token: str) -> str:
    """Return the ``Link`` header of the next page (RFC 8288)."""
    kept = [(name, value) for name, value in pairs if name != "page_token"]
    return f'<{path}?{urlencode([*kept, ("page_token", token)])}>; rel="next"'


def _continued(query: ListQuery, token: str) -> ListQuery:
    try:
        padded = token + "=" * (-len(token) % 4)
        last_id, filters = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError, RecursionError):
        last_id, filters = None, None
    if not isinstance(last_id, str) or not is_operation_id(last_id):
        detail = "page_token cannot be read. Use next_page_token of the previous page as it is."
        raise MalformedRequest(detail)
    if filters != _filters(query):
        detail = "page_token belongs to a list with other filters. Send the same filters, or start without a token."
        raise MalformedRequest(detail)
    return ListQuery(
        owner=query.owner,
        statuses=query.statuses,
        kind=query.kind,
        tags=query.tags,
        created_after=query.created_after,
        created_before=query.created_before,
        before_id=last_id,
        limit=query.limit,
    )


def _filters(query: ListQuery) -> str:
    parts = [
        query.owner,
        sorted(query.statuses),
        query.kind,
        sorted(query.tags.items()),
        str(query.created_after),
        str(query.created_before),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError:
        detail = f"status={text[:40]!r} is unknown. Use {', '.join(Status)}."
        raise MalformedRequest(detail) from None


def _moment(single: dict[str, str], name: str) -> datetime | None:
    if name not in single:
        return None
    found = parse_moment(single[name])
    if found is None:
        detail = f"{name} must be an RFC 3339 time with a zone, such as 2030-01-31T12:00:00Z."
        raise MalformedRequest(detail)
    return found


def _page_size(text: str | None) -> int:
    if text is None:
        return _DEFAULT_PAGE
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        detail = "page_size must be a whole number of at least 1; more than 200 counts as 200."
        raise MalformedRequest(detail)
    return min(_LARGEST_PAGE, int(text))
