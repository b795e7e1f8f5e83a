"""Writing files that survive a power cut: a temporary name, fsync, rename, fsync of the folders."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader


class PartialFile:
    """A file being written under a temporary name beside its target. Used by one thread at a time."""

    def __init__(self, target: Path, *, root: Path) -> None:
        self._target = target
        self._root = root
        self._hash = hashlib.sha256()
        self._size = 0
        self._file: FileIO | None = None
        self._path = target

    def create(self) -> None:
        """Make the folders and the temporary file."""
        make_folders(self._target, root=self._root)
        descriptor, path = tempfile.mkstemp(prefix=".partial-", dir=self._target.parent)  # mode 0600
        self._path = Path(path)
        self._file = FileIO(descriptor, "wb")

    def write(self, piece: bytes) -> int:
        """Append bytes, all of them."""
        rest = memoryview(piece)
        while rest:
            rest = rest[self._opened_file.write(rest) :]
        self._hash.update(piece)
        self._size += len(piece)
        return len(piece)

    def commit(self) -> tuple[int, str]:
        """Give the file its name, durably; return its size and SHA-256."""
        os.fsync(self._opened_file.fileno())
        self._opened_file.close()
        self._path.replace(self._target)
        self._path = self._target  # if a folder cannot be synced, discard() takes the name back
        sync_folders(self._target, root=self._root)
        return self._size, self._hash.hexdigest()

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            with suppress(OSError):
                self._path.unlink()
        remove_empty_folders(self._target, root=self._root)

    @property
    def _opened_file(self) -> FileIO:
        if self._file is None:
            msg = "create() comes before write() and commit()"
            raise RuntimeError(msg)
        return self._file


def make_folders(target: Path, *, root: Path) -> None:
    """Make the private folders above a file, or none of them."""
    try:
        for folder in (root, *_between(target, root=root)):
            folder.mkdir(mode=0o700, parents=folder is root, exist_ok=True)
    except OSError:
        remove_empty_folders(target, root=root)
        raise


def sync_folders(target: Path, *, root: Path) -> None:
    """Make the names on the way to a file durable."""
    # Every level, each time: another writer may have made a folder and not yet synced its entry.
    for folder in (*reversed(_between(target, root=root)), root):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_empty_folders(target: Path, *, root: Path) -> None:
    """Remove the folders above a file that hold nothing."""
    for folder in reversed(_between(target, root=root)):
        with suppress(OSError):  # another file lives there
            folder.rmdir()


def _between(target: Path, *, root: Path) -> list[Path]:
    """Return the folders below the root down to the target's, outermost first."""
    return [folder for folder in reversed(target.parents) if root in folder.parents]


def newest_change(folder: Path) -> float:
    """Return when anything in a folder last changed, in seconds since 1970."""
    newest = 0.0
    for each in (folder, *folder.rglob("*")):
        with suppress(FileNotFoundError):  # removed meanwhile
            newest = max(newest, each.lstat().st_mtime)
    return newest


@contextmanager
def regular_file(file: Path) -> Iterator[BufferedReader]:
    """Open a file that is no link: adopting a link would show whatever it points to.

    :raises ValueError: it is a link, no regular file, or gone.
    """
    try:
        # Without NONBLOCK, opening a FIFO would wait for a writer for ever.
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:  # not a trouble of the disk, which would be waited out
        msg = f"{file} is gone; a result must be a regular file"
        raise ValueError(msg) from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        msg = f"{file} is a link; a result must be a regular file"
        raise ValueError(msg) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        msg = f"{file} is not a regular file"
        raise ValueError(msg)
    with os.fdopen(descriptor, "rb") as source:
        yield source
