"""What a receiver answered, made safe to keep: a number of seconds, and a line of text."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

EXCERPT_CHARACTERS = 500
_LONGEST_WAIT = timedelta(days=365)
_SECONDS = re.compile(r"[0-9]{1,18}")
# Control, format (bidirectional overrides), surrogate, private and unassigned characters, line and paragraph ends.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# What an answer may repeat or reveal. Lengths are bounded: the text is a stranger's, and must cost no time.
_CREDENTIAL = re.compile(
    r"whsec_[\w+/=-]*|\bv1a?,[\w+/=-]*|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?|\b(?:bearer|basic)\s+[\w.+/=~-]+", re.IGNORECASE
)
_NAMED = re.compile(
    r"([\w-]{0,20}(?:authorization|cookie|credential|passw|secret|session|signature|token|api[-_]?key)[\w-]{0,20}"
    r"""["']?\s{0,3}[:=]\s{0,3})(?:"[^"]*"?|'[^']*'?|[^\s,;&}]+)""",
    re.IGNORECASE,
)
_HIDDEN = "[hidden]"


def retry_after(value: str | None, *, now: datetime) -> timedelta | None:
    """Read ``Retry-After`` (RFC 9110 §10.2.3): seconds, or a date as the time until then, at most a year.

    None where it is absent or cannot be read. A date that has passed gives zero.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return min(timedelta(seconds=min(int(text), 10**9)), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        wait = aware - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), _LONGEST_WAIT)


def one_line(text: str, *, most: int = EXCERPT_CHARACTERS) -> str:
    """Return a text as one line that is safe to keep and to show, shortened with an ellipsis.

    Characters that act on terminals or forge lines are replaced, and what looks like a credential is hidden: receivers
    in debug mode answer with the headers that they got, or with their own configuration.
    """
    kept = "".join("\N{REPLACEMENT CHARACTER}" if _unsafe(each) else each for each in text[: most * 4])
    line = _NAMED.sub(rf"\1{_HIDDEN}", _CREDENTIAL.sub(_HIDDEN, " ".join(kept.split())))
    return line if len(line) <= most else line[: most - 1] + "…"


def _unsafe(character: str) -> bool:
    return character not in "\t\r\n" and unicodedata.category(character) in _UNSAFE


def excerpt(body: bytes) -> str:
    """Return the beginning of an answer's body for the operator."""
    return one_line(body[: EXCERPT_CHARACTERS * 4].decode("utf-8", errors="replace"))
