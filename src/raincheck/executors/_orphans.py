"""Processes that left the group of a run and lost their parent: on Linux, whoever adopts them can end them.

A process that leaves its group is out of reach of ``killpg``. But an adopting process (a "child subreaper") becomes the
parent of everything below it whose own parent has died, so that what escaped a run is found among its children.
Elsewhere only process groups are ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

_SET_CHILD_SUBREAPER = 36  # prctl(2)
_PROC = Path("/proc")
_LOOKS = 50
_PAUSE = 0.01


def adopt_orphans() -> None:
    """Become the parent of what is started below this process and loses its own; a fork does not inherit this."""
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - needed in fork servers only

    with contextlib.suppress(OSError, AttributeError):  # another C library; then only groups are ended
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_children(*, spared: Container[int] = ()) -> bool:
    """Kill the direct children of this process but the spared ones; return whether there were any.

    No signal meets a process id used again, as each is a child that only this process can reap. Those that their death
    makes orphans are children too by the next call.
    """
    found = [pid for pid in _children("self") if pid not in spared]
    for pid in found:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, os.WNOHANG)  # else at a later call: one that is dying may take its time
    return bool(found)


def kill_all_children() -> None:
    """Kill all below this process, as far as they die within half a second."""
    for _ in range(_LOOKS):
        if not kill_children():
            return
        time.sleep(_PAUSE)


def kill_all_children_of(pid: int) -> None:
    """Kill all below another process, which has adopted its orphans and must be alive."""
    killed: set[int] = set()
    for _ in range(_LOOKS):
        found = set(_children(str(pid))) - killed
        if not found:
            return
        for each in found:
            with contextlib.suppress(OSError), _held(each) as descriptor:
                if each in _children(str(pid)):  # held, its number cannot become another's any more
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        killed |= found
        time.sleep(_PAUSE)


@contextlib.contextmanager
def _held(pid: int) -> Iterator[int]:
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _children(process: str) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in (_PROC / process / "task").iterdir():
            with contextlib.suppress(OSError):  # a thread that has ended, or a kernel without these files
                children += map(int, (task / "children").read_bytes().split())
    return children
