"""What a request's headers and query ask for (RFC 7240, RFC 9110, the IETF Idempotency-Key draft)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from raincheck.core.errors import MalformedRequest
from raincheck.core.quantities import duration
from raincheck.core.trace_context import received
from raincheck.fastapi.callback_headers import requested_callback
from raincheck.fastapi.string_dictionary import string_dictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from raincheck.core.endpoints import Callback, Callbacks
    from raincheck.core.trace_context import TraceContext

LONGEST_WAIT = 60.0
LARGEST_METADATA = 16  # keys
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# Blanks are taken for good (`*+`): shared out between two places in every possible way, some thousand of them in one
# header would hold the event loop for seconds.
_PREFERENCE = re.compile(
    r"""\s*+([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*+(?:=\s*+("(?:[^"\\]|\\.)*"|[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*+)?"""
    r"""((?:;[^,]*)?)(?:,|$)""",
)
_UNWANTED = re.compile(rb"[ \t]*+q=0(\.0{0,3})?[ \t]*")
_SHORT = 32
_KEY_LENGTH = 255
_TAG_LENGTH = 256
_LONGEST_NUMBER = 32
_LONGEST_DELAY = timedelta(days=366)
_OURS = frozenset(
    {
        b"prefer",
        b"idempotency-key",
        b"operation-timeout",
        b"operation-metadata",
        b"operation-delay",
        b"operation-not-before",
        b"callback-url",
        b"callback-events",
        b"content-length",
        b"content-type",
        b"accept",
        b"traceparent",
        b"tracestate",
    },
)


@dataclass(frozen=True, slots=True)
class Preferences:
    """The ``Prefer`` header. ``wait`` is clamped to 60 seconds; None means the client said nothing of it."""

    respond_async: bool = False
    wait: float | None = None


_NO_PREFERENCES = Preferences()


def parse_prefer(values: Sequence[str]) -> Preferences:
    """Read ``Prefer``; what is unknown or malformed is ignored, the first of two counts (RFC 7240 §2)."""
    if len(values) == 1 and len(values[0]) <= _SHORT:
        return _short_preference(values[0])
    return _preferences(values)


@lru_cache(maxsize=64)
def _short_preference(text: str) -> Preferences:
    """Return what nearly all callers say, each time the same few words."""
    return _preferences((text,))


def _preferences(values: Iterable[str]) -> Preferences:
    respond_async, wait = False, None
    for value in values:
        position = 0
        while position < len(value):
            match = _PREFERENCE.match(value, position)
            if match is None:
                following = value.find(",", position)
                if following < 0:
                    break
                position = following + 1
                continue
            position = match.end()
            name, text = match[1].lower(), (match[2] or "").strip('"')
            if name == "respond-async" and not text:
                respond_async = True
            elif name == "wait" and wait is None and re.fullmatch(r"[0-9]+", text):
                wait = min(LONGEST_WAIT, float(text))
    return Preferences(respond_async, wait)


def applied(preferences: Preferences, *, waited: bool, asynchronous: bool) -> str | None:
    """Return ``Preference-Applied`` (RFC 7240 §3), or None where nothing was asked for."""
    parts = []
    if asynchronous and preferences.respond_async:
        parts.append("respond-async")
    if waited and preferences.wait is not None:
        parts.append(f"wait={int(preferences.wait)}")
    return ", ".join(parts) or None


@dataclass(slots=True)
class SubmitOptions:
    """What the submit headers say."""

    preferences: Preferences = _NO_PREFERENCES
    idempotency_key: str | None = None
    timeout: timedelta | None = None
    metadata: dict[str, str] | None = None
    not_before: datetime | None = None
    content_length: int | None = None
    content_type: str | None = None
    stream: bool = False
    callback: Callback | None = None
    trace: TraceContext | None = None


def submit_options(
    headers: Iterable[tuple[bytes, bytes]],
    *,
    clock: Callable[[], datetime],
    callbacks: Callbacks | None = None,
) -> SubmitOptions:
    """Read the submit headers in one pass.

    :param callbacks: whether and which URLs callers may name.
    :raises MalformedRequest: a header of ours cannot be read.
    :raises CallbacksDisabled: the caller names a callback URL where there are none.
    :raises CallbackUrlRefused: the caller names one that is not allowed.
    """
    options = SubmitOptions()
    found: dict[bytes, list[str]] = {}
    for name, value in headers:
        if name not in _OURS:
            continue
        if name == b"content-length":
            if options.content_length is None and value.isdigit():
                options.content_length = int(value)
        elif name == b"content-type":
            if options.content_type is None:
                options.content_type = value.decode("latin-1")
        elif name == b"accept":
            options.stream = options.stream or _takes_streams(value)
        else:
            found.setdefault(name, []).append(value.decode("latin-1"))
    if found:
        _read(found, options, clock=clock, callbacks=callbacks)
    return options


def _takes_streams(accept: bytes) -> bool:
    """Tell whether an ``Accept`` names event streams, in any case, and not as what is not wanted (RFC 9110 §12.4.2)."""
    lowered = accept.lower()
    if b"text/event-stream" not in lowered:
        return False
    for wanted in lowered.split(b","):
        kind, *parameters = wanted.split(b";")
        if kind.strip() == b"text/event-stream":
            return not any(map(_UNWANTED.fullmatch, parameters))
    return False


def _read(
    found: dict[bytes, list[str]],
    options: SubmitOptions,
    *,
    clock: Callable[[], datetime],
    callbacks: Callbacks | None,
) -> None:
    """Read what callers wish beside the operation itself; few wish more than to wait."""
    prefer = found.pop(b"prefer", None)
    if prefer is not None:
        options.preferences = parse_prefer(prefer)
        if not found:
            return
    if b"operation-metadata" in found:
        options.metadata = operation_metadata(found[b"operation-metadata"])
    options.idempotency_key = _single(found, b"idempotency-key", idempotency_key)
    options.timeout = _single(found, b"operation-timeout", operation_timeout)
    options.not_before = _not_before(found, clock())
    options.callback = requested_callback(
        found.get(b"callback-url", ()), found.get(b"callback-events", ()), rules=callbacks
    )
    if b"traceparent" in found:
        options.trace = received(found[b"traceparent"], found.get(b"tracestate", []))


def _single(found: dict[bytes, list[str]], name: bytes, parse):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    values = found.get(name)
    if values is None:
        return None
    if len(values) > 1:
        title = name.decode().title()
        detail = f"{title} was sent {len(values)} times. Send it once."
        raise MalformedRequest(detail)
    return parse(values[0])


def idempotency_key(text: str) -> str:
    """Read an idempotency key; the draft's quoted form and the bare form are equal.

    :raises MalformedRequest: empty, longer than 255, or not printable ASCII.
    """
    key = text.strip()
    if key.startswith('"'):
        match = re.fullmatch(r'"((?:[^"\\]|\\["\\])*)"', key)
        if match is None:
            detail = "Idempotency-Key begins with a quote but is not a quoted string. Close the quote, or send it bare."
            raise MalformedRequest(detail)
        key = re.sub(r"\\(.)", r"\1", match[1])
    if not 1 <= len(key) <= _KEY_LENGTH or not all(" " <= character <= "~" for character in key):
        detail = "Idempotency-Key must have 1 to 255 printable ASCII characters. A random UUID is a good key."
        raise MalformedRequest(detail)
    return key


def operation_timeout(text: str) -> timedelta:
    """Read ``Operation-Timeout``: seconds, or a number with a unit such as ``5m``.

    :raises MalformedRequest: not a positive duration.
    """
    try:
        found = duration(text)
    except ValueError as error:
        detail = f"Operation-Timeout cannot be read: {error}."
        raise MalformedRequest(detail) from None
    if not timedelta(0) < found <= _LONGEST_DELAY:
        detail = "Operation-Timeout must be more than zero and at most 366 days."
        raise MalformedRequest(detail)
    return found


def operation_metadata(values: Iterable[str]) -> dict[str, str]:
    """Read ``Operation-Metadata``, an RFC 9651 dictionary of strings.

    :raises MalformedRequest: another form, more than 16 keys, or a text over 256 characters.
    """
    found = string_dictionary(", ".join(values))
    if found is None:
        detail = (
            'Operation-Metadata must be a dictionary of quoted strings (RFC 9651), such as: customer="42", env="test".'
        )
        raise MalformedRequest(detail)
    if len(found) > LARGEST_METADATA or any(len(text) > _TAG_LENGTH for pair in found.items() for text in pair):
        detail = "Operation-Metadata takes at most 16 keys with at most 256 characters in each key and value."
        raise MalformedRequest(detail)
    return found


def _not_before(found: dict[bytes, list[str]], now: datetime) -> datetime | None:
    delay = _single(found, b"operation-delay", operation_delay)
    moment = _single(found, b"operation-not-before", operation_not_before)
    if delay is not None and moment is not None:
        detail = "Operation-Delay and Operation-Not-Before were both sent. Send one of them."
        raise MalformedRequest(detail)
    if delay is not None:
        return now + delay if delay else None
    return moment if moment is not None and moment > now else None


def operation_delay(text: str) -> timedelta:
    """Read ``Operation-Delay`` in seconds.

    :raises MalformedRequest: not a number between 0 and 366 days.
    """
    seconds = parse_seconds(text.strip())
    if seconds is None or not 0 <= seconds <= _LONGEST_DELAY.total_seconds():
        detail = "Operation-Delay must be a number of seconds between 0 and 366 days."
        raise MalformedRequest(detail)
    return timedelta(seconds=seconds)


def parse_seconds(text: str) -> float | None:
    """Return a number as JSON writes it, or None when it is none.

    Programs pass their floats on as they are: ``0.30000000000000004``, ``1e-07``.
    """
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    return float(text)


def clamped_wait(text: str) -> float | None:
    """Return how long a request may wait, or None when the text is no number; more than the longest wait is that.

    However many digits it has: ``Prefer: wait`` is read in the same way.
    """
    return min(LONGEST_WAIT, float(text)) if _NUMBER.fullmatch(text) else None


def operation_not_before(text: str) -> datetime:
    """Read ``Operation-Not-Before``: RFC 3339 or an HTTP date.

    :raises MalformedRequest: not a time with a zone, or further than 366 days ahead.
    """
    found = parse_moment(text.strip()) or _http_date(text)
    if found is None:
        detail = "Operation-Not-Before must be a time with a zone, such as 2030-01-31T12:00:00Z."
        raise MalformedRequest(detail)
    if found > datetime.now(UTC) + _LONGEST_DELAY:
        detail = "Operation-Not-Before lies more than 366 days ahead."
        raise MalformedRequest(detail)
    return found


def parse_moment(text: str) -> datetime | None:
    """Return an RFC 3339 time in UTC, or None when it is none."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", text):
        return None
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _http_date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
        return None if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):  # the end of the year 9999 in a zone to the west is beyond all dates
        return None


def etag_matches(header: str | None, version: int) -> bool:
    """Tell whether ``If-None-Match`` names this version; weak comparison (RFC 9110 §13.1.2)."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    tags = re.findall(r'(?:W/)?"([^"]*)"', header)
    return str(version) in tags
