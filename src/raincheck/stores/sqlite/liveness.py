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

# lockf cannot conflict with its own process, and closing a file there frees its lock: so a process must know its own
# workers, by device and inode, since a path may lead to the same file in several ways.
_OURS: set[tuple[int, int]] = set()


class FileLiveness:
    """Implements Liveness with one locked file a worker, in a folder beside the database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None
        self._file: Path | None = None

    def enter(self, worker: str) -> None:
        """Take the lock; call it before the first claim.

        The files of dead workers stay until ``forget``: without them the reaper could not tell that they are dead, and
        their work would wait for the end of its lease.
        """
        self._folder.parent.mkdir(mode=0o700, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._file = self._folder / f"{worker}.lock"
        while self._descriptor is None:
            self._descriptor = _locked(self._file)
        _OURS.add(_identity(os.fstat(self._descriptor)))

    def leave(self) -> None:
        """Free the lock and remove the file; leaving twice does nothing."""
        if self._descriptor is None or self._file is None:
            return
        identity = _identity(os.fstat(self._descriptor))
        with contextlib.suppress(FileNotFoundError):
            self._file.unlink()
        os.close(self._descriptor)
        self._descriptor = None
        _OURS.discard(identity)  # last, so that nobody here takes it for another process's meanwhile

    def is_dead(self, worker: str) -> bool:
        """Tell whether the worker's process has certainly ended."""
        file = self._folder / f"{worker}.lock"
        try:
            if _identity(file.stat()) in _OURS:
                return False
            descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # it left, or we are out of descriptors: in doubt it lives
            return False
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def workers(self) -> list[str]:
        """Return the workers that have a file, live and dead."""
        return [file.stem for file in self._folder.glob("*.lock")]

    def forget(self, worker: str) -> None:
        """Remove the file of a dead worker once nothing is held by it."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / f"{worker}.lock").unlink()


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _locked(file: Path) -> int | None:
    """Return a descriptor that holds the lock of the file of this name; None if somebody got in between."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Others who look whether we live take the lock for an instant, so this waits.
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink > 0:  # not taken for a dead worker's and removed meanwhile
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
