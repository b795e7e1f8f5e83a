"""Who looks at the operator's page, and who may act: what the guard returns decides."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, HTTPException

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

audit = logging.getLogger("raincheck.audit")
_MARK = "x-raincheck-dashboard"


@dataclass(frozen=True, slots=True)
class Viewer:
    """May look at everything. ``name`` is shown, and written into audit lines."""

    name: str = "viewer"


@dataclass(frozen=True, slots=True)
class Operator(Viewer):
    """May also cancel, retry and delete."""

    name: str = "operator"


def visitor_parameter(guard: Callable[..., Any]) -> Any:
    """Return the annotation of a route's visitor: what the guard returned, as a Viewer unless it is an Operator.

    A guard that returns something else, such as a user or None, lets its caller look and nothing more.
    """

    async def visitor(found: Any) -> Viewer:
        if isinstance(found, Viewer):
            return found
        return Viewer(found) if isinstance(found, str) and found else Viewer()

    visitor.__annotations__["found"] = Annotated[Any, Depends(guard)]
    return Annotated[Viewer, Depends(visitor)]


def require_operator(request: Request, visitor: Viewer, action: str) -> None:
    """Let only operators act, and only from the page itself.

    Browsers send cookies and Basic credentials along with the requests of any page; none but this page's own can set
    a header without asking the server first.

    :raises HTTPException: 403.
    """
    if not isinstance(visitor, Operator):
        audit.warning("%s was refused to %s: read only", _shown(visitor.name), _shown(action))
        raise HTTPException(403, "You may look, not act: the page's guard returned no raincheck.dashboard.Operator.")
    if _MARK not in request.headers or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        audit.warning("%s was refused to %s: not from the page", _shown(visitor.name), _shown(action))
        raise HTTPException(403, f"This request does not come from the page: it lacks the header {_MARK}.")


def record(visitor: Viewer, action: str, operation_id: str, kind: str) -> None:
    """Write the audit line of an action that was done."""
    fields = {"audit_name": visitor.name, "audit_action": action, "audit_operation": operation_id, "audit_kind": kind}
    audit.info("%s: %s %s (%s)", _shown(visitor.name), action, operation_id, kind, extra=fields)


def record_endpoint(visitor: Viewer, action: str, url: str) -> None:
    """Write the audit line of an action on an endpoint of webhooks."""
    fields = {"audit_name": visitor.name, "audit_action": action, "audit_url": url}
    audit.info("%s: %s %s", _shown(visitor.name), action, _shown(url), extra=fields)


def _shown(text: str) -> str:
    """Return a text that stays in its line: a path or a name with a line feed would write the next audit line."""
    return text if text.isprintable() else repr(text)
