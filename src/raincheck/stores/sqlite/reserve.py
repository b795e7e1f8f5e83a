"""Space kept back for a full disk: even deleting a row writes to SQLite's log first."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 8 << 20
_PATIENCE = 0.5


class Reserve:
    """A file of 8 MiB that is given up when the disk is full and taken back once there is space again."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._next_try = 0.0
        self.held = False

    def take(self) -> bool:
        """Take the space, at most twice a second; True when it is held.

        :raises OSError: the file cannot be made for another reason than a full disk.
        """
        if self.held:
            return True
        now = time.monotonic()
        if now < self._next_try:
            return False
        self._next_try = now + _PATIENCE
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _allocate(descriptor)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            os.ftruncate(descriptor, 0)
            return False
        finally:
            os.close(descriptor)
        self.held = True
        return True

    def give_up(self) -> None:
        """Free the space for pruning and for finishing what runs."""
        self.held = False
        self._next_try = time.monotonic() + _PATIENCE
        with contextlib.suppress(FileNotFoundError):
            self._file.unlink()


def _allocate(descriptor: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, SIZE)
        return
    block = bytes(1 << 20)
    for _ in range(SIZE // len(block)):
        os.write(descriptor, block)
