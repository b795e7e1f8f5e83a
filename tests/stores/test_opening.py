"""Opening a SQLite store where it cannot work says what is wrong and what to do; what can wait is waited for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from raincheck.core.errors import SchemaTooNew, StoreError, StoreUnavailable
from raincheck.locations import location
from raincheck.ports import Lease
from raincheck.storage import open_storage
from raincheck.stores.blobs import LocalBlobs
from raincheck.stores.sqlite import SqliteStore, opening
from raincheck.stores.sqlite.liveness import FileLiveness
from raincheck.testing.conformance.specimens import NOW, an_operation, submitted

pytestmark = pytest.mark.anyio


async def refusal(path):
    """Return the message of a store that cannot be opened."""
    with pytest.raises(StoreError) as refused:
        await SqliteStore(path).open()
    return str(refused.value)


@contextlib.asynccontextmanager
async def opened(path):
    """Open a store and close it again."""
    store = SqliteStore(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def test_a_missing_folder_is_named(tmp_path):
    """The folder is not made: a typing error must not become a second, empty database."""
    message = await refusal(tmp_path / "nowhere" / "raincheck.db")
    assert str(tmp_path / "nowhere") in message
    assert "RAINCHECK_STORE" in message
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_may_not_be_written_is_named(tmp_path):
    """As the user of the server, who gets the reason and the remedy."""
    file = tmp_path / "raincheck.db"
    file.touch(mode=0o444)
    program = (
        "import asyncio, pathlib, sys\n"
        "from raincheck.core.errors import StoreError\n"
        "from raincheck.stores.sqlite import SqliteStore\n"
        "import os\n"
        "if os.geteuid() == 0: os.chdir('/'); os.setgid(65534); os.setuid(65534)\n"
        "try: asyncio.run(SqliteStore(pathlib.Path(sys.argv[1])).open())\n"
        "except StoreError as error: print(error)\n"
    )
    if os.geteuid() == 0:
        for folder in (tmp_path, *tmp_path.parents):
            if "pytest-of-" in str(folder):
                folder.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True)
    assert "cannot be opened for writing: Permission denied" in done.stdout
    assert "write access" in done.stdout


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path):
    """An older release must not write into what it does not understand."""
    path = tmp_path / "raincheck.db"
    async with opened(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(SchemaTooNew, match=r"schema 999.*Upgrade raincheck"):
        await SqliteStore(path).open()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (999,)


async def test_another_programs_database_is_refused_and_left_alone(tmp_path):
    """Also one whose tables would not collide with ours."""
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    before = path.read_bytes()
    assert "database of another program" in await refusal(path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    """Such as a store that points at the wrong file."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but rather long notes " * 100)
    before = path.read_bytes()
    message = await refusal(path)
    assert "cannot be used as the operation store" in message
    assert "restore it from a backup" in message
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
async def test_a_network_file_system_is_refused(tmp_path, monkeypatch, kind):
    """SQLite's locks and shared memory are not safe there."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"1 0 8:1 / / rw - ext4 /dev/sda rw\n36 1 0:31 / {tmp_path}/shared\\040disk rw,relatime - {kind} host:/x rw\n"
    )
    monkeypatch.setattr(opening, "MOUNTS", mounts)
    (tmp_path / "shared disk").mkdir()
    message = await refusal(tmp_path / "shared disk" / "raincheck.db")
    assert f"network file system ({kind})" in message
    async with opened(tmp_path / "raincheck.db"):
        pass  # the same file system tells the neighbour apart


async def test_a_locked_file_is_waited_for_and_then_reported(tmp_path, monkeypatch):
    """A backup may hold the file for a moment; one that never lets go is named as the cause."""
    path = tmp_path / "raincheck.db"
    async with opened(path):
        pass
    with contextlib.closing(sqlite3.connect(path, check_same_thread=False, isolation_level=None)) as stranger:
        stranger.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(opening, "_PATIENCE", 0.2)
        assert "is locked by another process" in await refusal(path)
        monkeypatch.setattr(opening, "_PATIENCE", 20.0)
        threading.Timer(0.3, stranger.execute, ["ROLLBACK"]).start()
        async with opened(path) as store:
            await submitted(store)


def test_many_processes_may_start_and_end_at_once_on_a_new_file(tmp_path):
    """``uvicorn --workers``, or a server and its workers: nobody finds the file locked or takes it for a stranger's."""
    program = (
        "import asyncio, pathlib, sys, time\n"
        "from raincheck.stores.sqlite import SqliteStore\n"
        "async def main():\n"
        "    for number in range(8):\n"
        "        store = SqliteStore(pathlib.Path(sys.argv[1]) / f'{number}.db')\n"
        "        await store.open()\n"
        "        await store.close()\n"
        "print(flush=True); sys.stdin.readline()\n"
        "asyncio.run(main())\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in started:
        process.stdout.readline()
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    complaints = [process.communicate(timeout=60)[1] for process in started]
    assert complaints == ["", "", ""]


async def test_a_side_folder_that_cannot_be_made_is_named(tmp_path):
    """Files, locks and the reserve lie beside the database."""
    (tmp_path / "raincheck.db.d").write_text("in the way")
    message = await refusal(tmp_path / "raincheck.db")
    assert "raincheck.db.d cannot be written" in message


# --- in trouble while open -----------------------------------------------------------------------------------------


async def test_a_foreign_lock_refuses_all_that_waits_at_once(tmp_path, monkeypatch):
    """After the patience for one transaction, not that for each of them one after the other."""
    monkeypatch.setattr("raincheck.stores.sqlite.writer._PATIENCE", 0.3)
    path = tmp_path / "raincheck.db"
    async with opened(path) as store:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as stranger:
            stranger.execute("BEGIN EXCLUSIVE")
            began = time.monotonic()
            results = await asyncio.gather(*(submitted(store) for _ in range(20)), return_exceptions=True)
            took = time.monotonic() - began
            stranger.execute("ROLLBACK")
        assert {type(result) for result in results} == {StoreUnavailable}
        assert took < 3.0
        assert await store.queue_depth(limit=100) == 0, "refused, and yet stored"
        await submitted(store)
        assert await store.queue_depth(limit=100) == 1


async def test_a_reader_that_could_not_open_its_connection_tries_again(tmp_path, monkeypatch):
    """Out of descriptors for a moment: the next read works, without a restart."""
    from raincheck.stores.sqlite import reader

    connect = reader.connect
    path = tmp_path / "raincheck.db"
    async with opened(path) as store:
        operation = await submitted(store)

        def exhausted(*arguments, **keywords):
            raise sqlite3.OperationalError("unable to open database file")

        monkeypatch.setattr(reader, "connect", exhausted)
        with pytest.raises(StoreUnavailable):
            await store.get(operation.id)
        monkeypatch.setattr(reader, "connect", connect)
        assert (await store.get(operation.id)).id == operation.id


async def test_a_result_file_whose_folder_could_not_be_synced_is_adopted_at_the_next_try(tmp_path, monkeypatch):
    """A failed sync leaves the file where it was; else the outcome could never be written."""
    from raincheck.stores import blobs as blobs_module

    sync = blobs_module.sync_folders
    blobs = LocalBlobs(tmp_path / "blobs")
    result = tmp_path / "result"
    result.write_bytes(b"pages")
    name = f"{an_operation().id}/1/result"

    def failing(target, *, root):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(blobs_module, "sync_folders", failing)
    with pytest.raises(StoreUnavailable):
        await blobs.adopt(name, result)
    monkeypatch.setattr(blobs_module, "sync_folders", sync)
    await blobs.adopt(name, result)
    assert (await blobs.local_path(name)).read_bytes() == b"pages"


async def test_a_closed_store_says_that_it_is_closed(tmp_path):
    """Work that outlives the drain meets it; it must neither look like a bug nor be taken for one."""
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    kept = await submitted(store)
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await submitted(store)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.change(kept.id, lambda _: None)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.renew([Lease(kept.id, 1)], lease_until=NOW)
    with pytest.raises(StoreUnavailable):
        await store.get(kept.id)


# --- who lives -----------------------------------------------------------------------------------------------------


def test_a_dead_process_is_known_at_once_also_after_another_has_entered(tmp_path):
    """The kernel frees its lock; the trace stays until the reaper has taken the work over."""
    program = (
        "import pathlib, sys\n"
        "from raincheck.stores.sqlite.liveness import FileLiveness\n"
        "FileLiveness(pathlib.Path(sys.argv[1])).enter('other')\n"
        "print(flush=True); sys.stdin.readline()\n"
    )
    folder = tmp_path / "store.d" / "workers"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    ours = FileLiveness(folder)
    ours.enter("ours")
    assert not ours.is_dead("other")
    assert not ours.is_dead("ours")
    assert not ours.is_dead("never-heard-of")
    process.kill()
    process.communicate()
    assert ours.is_dead("other")
    again = FileLiveness(folder)
    again.enter("again")
    assert again.is_dead("other")
    again.forget("other")
    assert not again.is_dead("other")
    again.leave()
    ours.leave()
    assert list(folder.iterdir()) == []


def test_a_process_knows_its_own_workers_by_every_path_that_leads_to_them(tmp_path):
    """Two applications in one process may name one store in two ways: the lock would be taken, and then be lost."""
    folder, link = tmp_path / "store.d" / "workers", tmp_path / "link.d"
    one = FileLiveness(folder)
    one.enter("one")
    link.symlink_to(folder.parent)
    two = FileLiveness(link / "workers")
    two.enter("two")
    assert not two.is_dead("one")
    assert not one.is_dead("two")
    one.leave()
    two.leave()
    assert list(folder.iterdir()) == []


async def test_a_function_that_changes_the_working_directory_takes_no_store_away(tmp_path, monkeypatch):
    """Connections are opened when they are needed: one that is opened later must find the same file."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        storage = await open_storage(location("sqlite:///here.db"), stack)
        kept = await submitted(storage.store)
        monkeypatch.chdir(elsewhere)
        assert (await storage.store.get(kept.id)).id == kept.id
        storage.liveness.enter("me")
        storage.liveness.leave()
    assert list(elsewhere.iterdir()) == []


async def test_a_listener_that_fails_keeps_no_change_from_the_others(tmp_path, caplog):
    """As in the other stores: the commit stands, and whoever else listens must hear of it."""
    store, heard = SqliteStore(tmp_path / "a.db"), []

    def broken(changes):
        raise ZeroDivisionError

    await store.open()
    store.subscribe(broken)
    store.subscribe(heard.extend)
    kept = await submitted(store)
    await store.close()
    assert [change.operation.id for change in heard] == [kept.id]
    assert "a listener of the store failed" in caplog.text
