"""How much memory process groups use, from ``/proc``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PROC = Path("/proc")
_SCAN_EVERY = 10


def can_measure() -> bool:
    """Tell whether this platform shows the memory of other processes."""
    return (PROC / "self" / "statm").exists()


class GroupMemory:
    """Measures the resident memory of process groups, cheaply enough for twenty looks a second.

    The leader is measured at each look. Which other processes belong to a group is looked up at every tenth look,
    because that takes a walk over all processes of the machine.
    """

    def __init__(self) -> None:
        self._looks = 0
        self._members: dict[int, list[int]] = {}
        self._page = os.sysconf("SC_PAGE_SIZE")

    def measure(self, groups: Iterable[int]) -> dict[int, int]:
        """Return the resident bytes of each group."""
        wanted = set(groups)
        if self._looks % _SCAN_EVERY == 0:
            self._members = _members(wanted)
        self._looks += 1
        return {group: sum(map(self._resident, {group, *self._members.get(group, ())})) for group in wanted}

    def _resident(self, pid: int) -> int:
        try:
            return int((PROC / str(pid) / "statm").read_bytes().split()[1]) * self._page
        except (OSError, IndexError):  # it has ended
            return 0


def _members(groups: set[int]) -> dict[int, list[int]]:
    members: dict[int, list[int]] = {}
    for process in PROC.iterdir():
        if not process.name.isdigit():
            continue
        try:
            stat = (process / "stat").read_bytes()
            group = int(stat[stat.rindex(b")") + 2 :].split(None, 3)[2])
        except (OSError, ValueError, IndexError):  # it has ended
            continue
        if group in groups:
            members.setdefault(group, []).append(int(process.name))
    return members
