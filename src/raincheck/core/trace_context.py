"""Where in a distributed trace something happened, as W3C Trace Context writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_STATE = re.compile(r"[\x20-\x7e\t]{1,512}")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The two headers of a span that others follow.

    :param traceparent: version, trace, span and flags; the version 00 of today or a later one.
    :param tracestate: what the tracing systems add for themselves.
    """

    traceparent: str
    tracestate: str = ""


def received(traceparents: list[str], tracestates: list[str]) -> TraceContext | None:
    """Return what the headers of a request say; None without a valid ``traceparent`` (W3C Trace Context §3.2.2).

    A tracestate that is malformed, or longer than every system must keep, is dropped and the trace goes on (§3.3.1.5).
    """
    if len(traceparents) != 1 or not _PARENT.fullmatch(traceparents[0]):
        return None
    state = ",".join(tracestates)
    return TraceContext(traceparents[0], state if _STATE.fullmatch(state) else "")
