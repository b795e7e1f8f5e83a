"""Learning of SIGTERM before the server waits for its open connections.

Servers close their listening sockets, then wait for requests to end, and only then run the lifespan's shutdown: a
waiting long-poll would hold the process for its full time. So the signal's handler is chained.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def chained_signals(callback: Callable[[], None]) -> Iterator[None]:
    """Call back on the loop at SIGTERM and SIGINT, then do what the handler before did.

    Off the main thread (``TestClient`` runs lifespans there) signals cannot be handled, and nothing is chained. Nor is
    a signal that this process ignores, since it goes on serving then; nor one that is handled outside of Python, which
    could be neither called nor put back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    former: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(callback)
        before = former[signal.Signals(number)]
        if callable(before):
            before(number, frame)
        elif before is signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in _SIGNALS:
        before = signal.getsignal(number)
        if before is not None and before is not signal.SIG_IGN:
            former[number] = before
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, before in former.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, before)
