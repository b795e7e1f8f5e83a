"""Take Ctrl-C away from ``make``, which otherwise ends with an error when its recipe ends well."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator


def under_make() -> bool:
    """Return whether ``make`` runs this."""
    return "MAKELEVEL" in os.environ


@contextlib.contextmanager
def foreground() -> Iterator[None]:
    """Be the terminal's foreground process group while inside, as a shell's job would be.

    Does nothing without a terminal, in the background, and outside ``make``, where the shell has done it.
    """
    if not under_make() or not sys.stdin.isatty():
        yield
        return
    terminal, callers = sys.stdin.fileno(), os.getpgrp()
    if os.tcgetpgrp(terminal) != callers or callers == os.getpid():
        yield
        return
    # A process outside the foreground group that moves it would be stopped; one whose parent does not know of its
    # group must not be stopped by Ctrl-Z, since nothing could continue it.
    for number in (signal.SIGTTOU, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpid())
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, callers)
