"""Checks of the store's file and of the place where it lies."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from raincheck.cli.findings import Finding, ok, problem, warning
from raincheck.cli.formats import size
from raincheck.stores.sqlite.opening import NETWORK_FILE_SYSTEMS, file_system, schema_version
from raincheck.stores.sqlite.reserve import SIZE as RESERVE
from raincheck.stores.sqlite.store import side_folder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

_LITTLE_SPACE = 256 << 20
_LARGE_LOG = 64 << 20
_HEADER, _WRITE_VERSION, _WRITE_AHEAD = 100, 18, 2  # https://sqlite.org/fileformat.html §1.3
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def check_place(path: Path) -> Iterator[Finding]:
    """Check the folder, its file system and its space."""
    folder = path.parent
    if not folder.is_dir():
        yield problem("folder", f"The folder {folder} does not exist.", "Create it, or set RAINCHECK_STORE.")
        return
    if os.access(folder, os.W_OK | os.X_OK):
        yield ok("folder", f"{folder} is writable.")
    else:
        remedy = "SQLite keeps its log beside the database: give the server's user write access to the folder."
        yield problem("folder", f"{folder} is not writable for this user.", remedy)
    yield _file_system(folder)
    yield _space(path)


def _file_system(folder: Path) -> Finding:
    kind = file_system(folder)
    if kind is None:
        return ok("file-system", "This platform does not tell the type of the file system; it must be a local disk.")
    if kind in NETWORK_FILE_SYSTEMS:
        message = f"{folder} lies on a network file system ({kind}), where SQLite's locks are not safe."
        return problem("file-system", message, "Move the store to a local disk.")
    return ok("file-system", f"The file system is local ({kind}).")


def _space(path: Path) -> Finding:
    """Compare the free space with the reserve that the server holds for finishing work on a full disk."""
    free = shutil.disk_usage(path.parent).free
    held = (side_folder(path) / "reserve").exists()
    if free < RESERVE and not held:
        message = f"The disk is full: {size(free)} are free and the reserve of {size(RESERVE)} is used up."
        return problem("space", message, "Free some space: until then every submit is answered with 507.")
    if free < _LITTLE_SPACE:
        message = f"Only {size(free)} are free on the disk."
        return warning("space", message, f"Free some space; below {size(RESERVE)} submits are answered with 507.")
    return ok("space", f"{size(free)} are free on the disk.")


def check_database(connection: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    """Check schema, access rights, journal and content of an opened store."""
    yield ok("schema", f"The schema is version {schema_version(connection)}, which this release writes.")
    yield _rights(path)
    yield _journal(path)
    yield _log(path)
    yield _content(connection)


def _journal(path: Path) -> Finding:
    """Look into the header, since SQLite tells no journal mode of a file that it opens as unchanging."""
    with path.open("rb") as file:
        header = file.read(_HEADER)
    if header[_WRITE_VERSION] == _WRITE_AHEAD:
        return ok("journal", "The journal mode is WAL.")
    message = "The journal mode is not WAL: readers and writers wait for each other."
    return warning(
        "journal", message, "Something has converted the file. Restart the application, which switches back."
    )


def _rights(path: Path) -> Finding:
    files = [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")), side_folder(path)]
    open_to_others = [file for file in files if file.exists() and file.stat().st_mode & _OTHERS]
    if not open_to_others:
        return ok("rights", "Only its owner can read the store.")
    names = " ".join(str(file) for file in open_to_others)
    message = f"Other users may read the requests, results and tracebacks in {names}."
    return warning("rights", message, f"Run: chmod go-rwx {names}")


def _log(path: Path) -> Finding:
    log = path.with_name(path.name + "-wal")
    length = log.stat().st_size if log.exists() else 0
    if length > _LARGE_LOG:
        remedy = "Some program has held the file open in one long read. Find it (lsof) and end it."
        return warning("log", f"SQLite's write-ahead log has grown to {size(length)}.", remedy)
    return ok("log", f"SQLite's write-ahead log has {size(length)}.")


def _content(connection: sqlite3.Connection) -> Finding:
    found = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    if found == ["ok"]:
        return ok("content", "SQLite finds no damage in the file.")
    message = f"The file is damaged: {'; '.join(found)}."
    return problem("content", message, "Stop the application, keep a copy of the file, and restore a backup.")
