"""The request that submits an operation: its headers, and whether it can be sent again."""

from __future__ import annotations

import math
import re
import uuid
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, Literal

from raincheck.core.moments import rfc3339
from raincheck.core.quantities import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, timedelta

Key = str | Literal[True] | None
LONGEST_WAIT = 60.0  # seconds; more do not count (the contract)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitHeaders:
    """What a caller says about one submit.

    :param idempotency_key: True makes one, so that the client may send the request again; None sends none.
    """

    idempotency_key: Key = True
    wait: float | None = None
    timeout: timedelta | float | str | None = None
    metadata: Mapping[str, str] | None = None
    delay: timedelta | float | str | None = None
    not_before: datetime | None = None
    callback_url: str | None = None
    callback_events: Iterable[str] = ()

    def beside(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers beside the caller's own, which outrank them however they are spelled.

        :raises ValueError: a value that no header can carry.
        """
        own = {name.lower() for name in headers}
        return {**{name: value for name, value in self.render().items() if name.lower() not in own}, **headers}

    def render(self) -> dict[str, str]:
        """Return the headers.

        :raises ValueError: a value that no header can carry.
        """
        found: dict[str, str] = {}
        if self.idempotency_key is not None:
            found["Idempotency-Key"] = new_key() if self.idempotency_key is True else self.idempotency_key
        # RFC 7240 §4.3: whole seconds, and servers ignore anything else.
        found["Prefer"] = "respond-async" if not self.wait else f"wait={math.ceil(min(self.wait, LONGEST_WAIT))}"
        if self.timeout is not None:
            found["Operation-Timeout"] = seconds_text(duration(self.timeout).total_seconds())
        if self.metadata:
            found["Operation-Metadata"] = metadata_header(self.metadata)
        if self.delay is not None:
            found["Operation-Delay"] = seconds_text(duration(self.delay).total_seconds())
        if self.not_before is not None:
            found["Operation-Not-Before"] = _moment_text(self.not_before)
        if self.callback_url is not None:
            found["Callback-Url"] = self.callback_url
        if events := ", ".join(self.callback_events):
            found["Callback-Events"] = events
        return found


def new_key() -> str:
    """Return an idempotency key that nobody has used."""
    return uuid.uuid4().hex


def seconds_text(seconds: float) -> str:
    """Return a number of seconds without a useless fraction."""
    return str(int(seconds)) if seconds == int(seconds) else f"{seconds:.3f}"


def _moment_text(moment: datetime) -> str:
    if moment.tzinfo is None:
        msg = "not_before has no time zone; say which hour it means, such as datetime.now(UTC) + timedelta(hours=1)"
        raise ValueError(msg)
    return rfc3339(moment.astimezone(UTC))


def metadata_header(metadata: Mapping[str, str]) -> str:
    """Return a dictionary of strings as a structured field (RFC 9651 §4.1.2).

    :raises ValueError: a key or a text that a structured field cannot carry.
    """
    return ", ".join(f"{_key(key)}={_string(key, value)}" for key, value in metadata.items())


def _key(key: str) -> str:
    if not re.fullmatch(r"[a-z*][a-z0-9_.*-]*", key):
        msg = f"metadata key {key!r} cannot be sent; use lower-case letters, digits, '_', '-', '.' and '*'"
        raise ValueError(msg)
    return key


def _string(key: str, value: str) -> str:
    if not re.fullmatch(r"[ -~]*", value):
        msg = f"the metadata text of {key!r} cannot be sent; it may hold printable ASCII only"
        raise ValueError(msg)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def replayable(content: Any, files: Any) -> bool:
    """Tell whether a body can be sent a second time; a half-read stream under the same key would be another request."""
    if not (content is None or isinstance(content, (str, bytes))):
        return False
    given = files.values() if hasattr(files, "values") else [pair[1] for pair in files or ()]
    return all(_can_rewind(each[1] if isinstance(each, tuple) else each) for each in given)


def _can_rewind(file: Any) -> bool:
    if isinstance(file, (str, bytes)):
        return True
    ask = getattr(file, "seekable", None)
    return bool(ask()) if callable(ask) else False
