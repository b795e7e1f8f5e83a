"""Opening the database file: checks with a remedy, connection settings, migrations."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from raincheck.core.errors import SchemaTooNew, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLICATION_ID = 0x5241494E  # "RAIN": tells our files from other programs' databases
LOWEST_SQLITE = (3, 35, 0)
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "ncpfs", "fuse.sshfs"}
    | {"fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse"},
)
MOUNTS = Path("/proc/self/mountinfo")
_PATIENCE = 10.0
_NAP = 0.005


def prepare_file(path: Path) -> None:
    """Create the database file with mode 0600 if absent, and refuse places where it cannot work.

    :raises StoreError: no such folder, not writable, a network file system, or SQLite is too old.
    """
    if sqlite3.sqlite_version_info < LOWEST_SQLITE:
        msg = f"SQLite {sqlite3.sqlite_version} is too old; 3.35 or newer is needed. Use a newer Python build."
        raise StoreError(msg)
    folder = path.absolute().parent
    if not folder.is_dir():
        msg = f"The folder {folder} of the database does not exist. Create it, or set RAINCHECK_STORE to another place."
        raise StoreError(msg)
    kind = file_system(folder)
    if kind in NETWORK_FILE_SYSTEMS:
        msg = (
            f"{path} lies on a network file system ({kind}), where SQLite's locks and shared memory are not safe. "
            "Put the file on a local disk."
        )
        raise StoreError(msg)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        msg = (
            f"{path} cannot be opened for writing: {error.strerror}. Give this user write access to the file and its "
            "folder (SQLite keeps its log beside the file), or set RAINCHECK_STORE to another place."
        )
        raise StoreError(msg) from error
    if not os.access(folder, os.W_OK):
        msg = f"The folder {folder} is read-only, but SQLite keeps its log beside the database. Make it writable."
        raise StoreError(msg)


def file_system(folder: Path) -> str | None:
    """Return the type of the file system that holds a folder; None where the platform does not tell."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    best, kind = "", None
    target = str(folder.resolve())
    for line in lines:
        left, _, right = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), left.split()[4])
        covers = target == point or target.startswith(point.rstrip("/") + "/")
        if covers and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return kind


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection with the settings that the promises need.

    ``synchronous=FULL``: in WAL mode, NORMAL loses acknowledged commits in a power cut.
    Already the first statement reads the file, which another process may lock while it starts or ends: so it waits.
    """
    connection = sqlite3.connect(
        path,
        timeout=_PATIENCE,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    with closing_after_errors(connection):
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -16384")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    return connection


@contextlib.contextmanager
def closing_after_errors(connection: sqlite3.Connection) -> Iterator[None]:
    """Close a connection that turns out to be of no use; left to the collector, it keeps its descriptor for a while."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def refusing_unusable(path: Path) -> Iterator[None]:
    """Turn SQLite's errors while a file is opened into one that says what to do.

    :raises StoreError: the file is locked for long, damaged, or no database.
    """
    try:
        yield
    except sqlite3.Error as error:
        if _is_busy(error):
            msg = (
                f"{path} is locked by another process for longer than {_PATIENCE:.0f} seconds. End what holds it (such "
                "as a backup or a database shell with an open transaction), then start again."
            )
        else:
            msg = (
                f"{path} cannot be used as the operation store: {error}. If it is not Raincheck's file, set "
                "RAINCHECK_STORE to another path; if it is damaged, restore it from a backup."
            )
        raise StoreError(msg) from error


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the schema to this release; safe when several processes start at once.

    Afterwards the busy timeout is zero: the writer waits by itself, with shorter naps than SQLite's.

    :raises SchemaTooNew: a newer release wrote the file.
    :raises StoreError: the file is another program's, or no database.
    """
    with refusing_unusable(path):
        refuse_foreign(connection, path)
        _keep_a_log(connection)
        for number, script in _migrations():
            connection.execute("BEGIN IMMEDIATE")
            try:
                if schema_version(connection) < number:
                    for statement in script.split(";\n"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {number}")
                    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        connection.execute("PRAGMA busy_timeout = 0")


def _keep_a_log(connection: sqlite3.Connection) -> None:
    """Switch to WAL. SQLite does not wait for others here, whatever its busy timeout is: two may switch at once."""
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > give_up:
                raise
            time.sleep(_NAP)
        else:
            return


def _is_busy(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorname", None) or "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database that this release must not touch.

    :raises SchemaTooNew: a newer release wrote the file.
    :raises StoreError: the file is another program's.
    """
    # The tables first: another process may be making them, and writes our mark in the same transaction.
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = schema_version(connection)
    newest = newest_schema()
    if tables and application != APPLICATION_ID:
        msg = f"{path} is a database of another program. Set RAINCHECK_STORE to a file of its own."
        raise StoreError(msg)
    if version > newest:
        msg = (
            f"{path} has schema {version}, this release knows {newest} at most. "
            "Upgrade raincheck to the release that wrote the file, or use another file."
        )
        raise SchemaTooNew(msg)


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the number of the last migration that the file has seen; 0 for an empty file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def newest_schema() -> int:
    """Return the number of this release's last migration."""
    return max(number for number, _ in _migrations())


def _migrations() -> list[tuple[int, str]]:
    folder = files("raincheck.stores.sqlite.migrations")
    scripts = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return sorted((int(entry.name[:4]), entry.read_text(encoding="utf-8")) for entry in scripts)
