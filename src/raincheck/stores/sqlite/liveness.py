"""Who is alive on this machine: each worker process holds a lock on a file of its own.

The kernel frees the lock when the process dies, however it dies, so a free lock means dead. ``lockf`` and not
``flock``: its locks belong to the process and are not inherited by children that might outlive it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# lockf cannot conflict with its own process, so a process must know its own workers.
_OURS: set[Path] = set()


class FileLiveness:
    """Implements Liveness with one locked file a worker, in a folder beside the database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None
        self._file: Path | None = None

    def enter(self, worker: str) -> None:
        """Take the lock; call it before the first claim."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = self._folder / f"{worker}.lock"
        self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _OURS.add(self._file.absolute())

    def leave(self) -> None:
        """Free the lock and remove the file; leaving twice does nothing."""
        if self._descriptor is None or self._file is None:
            return
        _OURS.discard(self._file.absolute())
        with contextlib.suppress(FileNotFoundError):
            self._file.unlink()
        os.close(self._descriptor)
        self._descriptor = None

    def is_dead(self, worker: str) -> bool:
        """Tell whether the worker's process has certainly ended. The file of a dead worker is removed."""
        file = self._folder / f"{worker}.lock"
        if file.absolute() in _OURS:
            return False
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def forget(self, worker: str) -> None:
        """Remove the file of a dead worker once nothing is held by it."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / f"{worker}.lock").unlink()
