"""Problem documents (RFC 9457) of servers and of whatever stands before them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict

from raincheck.core.wire import PROBLEM_TYPE

_LONGEST_DETAIL = 500


class ProblemDetails(BaseModel):
    """Why something failed. Fields that the application added are attributes too."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = "about:blank"
    title: str = ""
    status: int | None = None
    detail: str | None = None
    operation_id: str | None = None

    @property
    def code(self) -> str | None:
        """The stable code, such as ``worker-lost``; None where the problem is another program's."""
        return self.type.removeprefix(PROBLEM_TYPE) if self.type.startswith(PROBLEM_TYPE) else None

    def __str__(self) -> str:
        """Title and detail in one line, without what would steer a terminal: either may be a stranger's text."""
        text = self.title if not self.detail or self.detail == self.title else f"{self.title}: {self.detail}"
        line = " ".join(text.split())
        return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)


def problem_of(status: int, body: bytes) -> ProblemDetails:
    """Return what an answer says of its error; whatever cannot be read is left out, never an error of its own."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    fields = found if isinstance(found, dict) else {}
    kept: dict[str, Any] = {name: value for name, value in fields.items() if name not in _TEXTS and name != "status"}
    kept |= {name: fields[name] for name in _TEXTS if isinstance(fields.get(name), str)}
    if "detail" in fields and "detail" not in kept:
        kept["detail"] = json.dumps(fields["detail"])[:_LONGEST_DETAIL]
    if not kept.get("title"):
        kept["title"] = _phrase(status)
    return ProblemDetails.model_validate(kept | {"status": status})


_TEXTS = ("type", "title", "detail", "operation_id")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP status {status}"


def seconds_of_retry_after(value: str | None, *, now: datetime | None = None) -> float | None:
    """Read ``Retry-After`` (RFC 9110 §10.2.3): seconds from now, or None where there is nothing to honour."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):  # no date, one without a zone, one beyond all dates
        return None
