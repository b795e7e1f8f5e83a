"""Functions that hold the loop's default threads, each for minutes, hold up nothing of Raincheck's own."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from raincheck.core.operation import Status
from raincheck.own_threads import in_own_thread
from raincheck.roles.reaper import Reaper
from raincheck.stores.blobs import LocalBlobs
from raincheck.stores.sqlite import SqliteStore
from raincheck.testing.conformance.specimens import NOW, SECOND, an_operation, started

pytestmark = pytest.mark.anyio


@pytest.fixture
async def occupied(anyio_backend):
    """Let a function of the application hold every default thread until the test has ended."""
    loop, release = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    held = asyncio.ensure_future(asyncio.to_thread(release.wait, 60))
    yield
    release.set()
    await held


class Dead:
    """A liveness of which everybody is dead."""

    def is_dead(self, worker):
        return True

    def workers(self):
        return []


async def once(data):
    """Return an iterator of one chunk."""
    yield data


async def test_dead_workers_are_seen_all_the_same(store, occupied) -> None:
    """Else their work would wait for as long as the functions take."""
    operation = await started(store, worker="gone")
    reaper = Reaper(store=store, liveness=Dead(), lease=15 * SECOND, clock=lambda: NOW)
    await asyncio.wait_for(reaper.run_once(), 10)
    assert (await store.get(operation.id)).status is Status.QUEUED


async def test_files_are_stored_all_the_same(tmp_path, occupied) -> None:
    """Else an upload would not be accepted, nor a large result be written."""
    name = f"{an_operation().id}/0/body"
    blob = await asyncio.wait_for(LocalBlobs(tmp_path).put(name, once(b"data")), 10)
    assert blob.size == 4


async def test_a_store_opens_and_closes_all_the_same(tmp_path, occupied) -> None:
    """Else the process would not end."""
    store = SqliteStore(tmp_path / "a.db")
    await asyncio.wait_for(store.open(), 10)
    await asyncio.wait_for(store.close(), 10)


async def test_what_is_raised_arrives() -> None:
    """As from a call."""
    with pytest.raises(ZeroDivisionError):
        await in_own_thread(lambda: 1 / 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # that is what this is about
async def test_a_forked_process_has_threads_of_its_own() -> None:
    """Those of its parent are not there, and one who waits for them waits for ever."""
    await in_own_thread(lambda: None)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            asyncio.new_event_loop().run_until_complete(asyncio.wait_for(in_own_thread(lambda: None), 10))
            code = 0
        finally:
            os._exit(code)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
