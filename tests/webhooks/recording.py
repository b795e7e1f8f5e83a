"""What this process really connects to and looks up, recorded below every library."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field


@dataclass
class Recorded:
    """Addresses at ``connect()``, names at ``getaddrinfo()``."""

    connects: list[tuple[str, int]] = field(default_factory=list)
    lookups: list[str] = field(default_factory=list)


_recordings: list[Recorded] = []
_hooked: list[bool] = []


def _hook(event, arguments):
    if not _recordings:
        return
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host, port = arguments[1][:2]
        for each in _recordings:
            each.connects.append((host, port))
        if host not in ("127.0.0.1", "::1"):
            # The tests leave the machine alone, also where a public address was rightly chosen.
            raise OSError("recorded, and not connected")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        for each in _recordings:
            each.lookups.append(str(arguments[0]))


@contextlib.contextmanager
def recording():
    """Record until the end of the block; nothing leaves the machine meanwhile."""
    if not _hooked:
        sys.addaudithook(_hook)  # for good: Python has no way to take one away
        _hooked.append(True)
    recorded = Recorded()
    _recordings.append(recorded)
    try:
        yield recorded
    finally:
        _recordings.remove(recorded)
