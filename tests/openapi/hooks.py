"""What schemathesis cannot read from an OpenAPI document: rules between two values, and of values that only we give."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import schemathesis

from raincheck.core.quantities import duration

if TYPE_CHECKING:
    from schemathesis import Case
    from schemathesis.hooks import HookContext

_numbers = itertools.count(1)
_run = uuid4().hex[:8]  # two runs may fuzz one server
_LONGEST = timedelta(days=366)


@schemathesis.hook
def filter_case(context: HookContext, case: Case) -> bool:
    """Drop invalid files that are valid once sent: the parts of a form have no types (RFC 7578), so null is a text."""
    invalid = case.meta is not None and case.meta.generation.mode.is_negative
    multipart = case.media_type == "multipart/form-data" and isinstance(case.body, dict)
    return not (invalid and multipart and "picture" in case.body)


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Respect what the contract says in words, in requests that are meant to be valid."""
    _wait_briefly(case)
    if case.meta is None or case.meta.generation.mode.is_negative:
        return
    headers = case.headers
    # One of the two may be sent; OpenAPI has no parameters that exclude each other.
    if "Operation-Delay" in headers:
        headers.pop("Operation-Not-Before", None)
    # Times have a range, and a string's schema has no place for one.
    if "Operation-Not-Before" in headers:
        ahead = timedelta(seconds=next(_numbers) % 1000)
        headers["Operation-Not-Before"] = (datetime.now(UTC) + ahead).isoformat()
    if "Operation-Timeout" in headers and not _usable(headers["Operation-Timeout"]):
        headers["Operation-Timeout"] = "5m"
    # A key belongs to one request (422 for another), so each request gets its own.
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = f"{_run}-{next(_numbers)}-{str(headers['Idempotency-Key']).strip(chr(34))}"[
            :200
        ].rstrip()
    # The application says which URLs it calls, and no schema can; events need a URL.
    if headers.keys() & {"Callback-Url", "Callback-Events"}:
        headers["Callback-Url"] = f"https://fuzz.hooks.invalid/{next(_numbers)}"
    # Page tokens are opaque: only the page before has one.
    (case.query or {}).pop("page_token", None)


def _usable(timeout: str) -> bool:
    try:
        return timedelta(0) < duration(timeout) <= _LONGEST
    except ValueError:
        return False


def _wait_briefly(case: Case) -> None:
    """Hold answers shortly, and not at all where the work is not about to end; longer waits take the same path."""
    prefer = case.headers.get("Prefer")
    if isinstance(prefer, str):
        later = case.headers.keys() & {"Operation-Delay", "Operation-Not-Before"}
        seconds = 0 if later or "{operation_id}" in case.path else 1
        case.headers["Prefer"] = re.sub(r"(?i)\bwait=[0-9]+", f"wait={seconds}", prefer)
    try:
        long = 0.02 < float((case.query or {})["wait"]) <= 999_999_999
    except (KeyError, TypeError, ValueError):
        return
    if long:
        case.query["wait"] = 0.02
