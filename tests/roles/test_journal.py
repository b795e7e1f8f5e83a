"""The journal keeps order, coalesces progress only, holds back writers that are too fast, and loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import SimpleNamespace

import pytest

from raincheck.core.errors import LeaseLost, OutputOverflow, StoreUnavailable
from raincheck.core.events import LogLine, Output
from raincheck.core.operation import Progress
from raincheck.roles import journal as journal_module
from raincheck.roles.journal import Journal

pytestmark = pytest.mark.anyio


class Book:
    """Where a journal writes: can be closed for a while, can refuse."""

    def __init__(self) -> None:
        self.writes = []
        self.open = asyncio.Event()
        self.open.set()
        self.written = asyncio.Event()
        self.trouble = []
        self.lost = []

    async def write(self, entries, progress):
        await self.open.wait()
        if self.trouble:
            raise self.trouble.pop(0)
        self.writes.append((list(entries), progress))
        self.written.set()

    @property
    def chunks(self):
        return [entry.chunk for entries, _ in self.writes for entry in entries if isinstance(entry, Output)]

    @property
    def progresses(self):
        return [progress for _, progress in self.writes if progress is not None]


@pytest.fixture
async def book(anyio_backend):
    """Provide an open book."""
    return Book()


@pytest.fixture
async def journal(book):
    """Provide a journal that writes into the book."""
    made = Journal(write=book.write, lost=book.lost.append)
    yield made
    made.close()


async def test_output_and_log_keep_their_order_through_refusals(book, journal, monkeypatch):
    """A store that is away is waited for; what follows waits behind it."""
    monkeypatch.setattr(journal_module, "_PATIENCE", 0.001)
    book.trouble = [StoreUnavailable("away"), StoreUnavailable("away")]
    for number in range(5):
        journal.output(Output(str(number)))
        journal.log(LogLine(str(number)))
        await asyncio.sleep(0)
    await journal.drain()
    written = [entry for entries, _ in book.writes for entry in entries]
    assert [getattr(entry, "chunk", None) or entry.message for entry in written] == [
        text for number in range(5) for text in (str(number), str(number))
    ]


async def test_progress_is_coalesced_and_the_newest_is_never_lost(book, journal):
    """A million calls cost a few writes, and the last value is written with the outcome at the latest."""
    for number in range(1000):
        journal.progress(Progress(current=number))
        if number % 100 == 0:
            await asyncio.sleep(0)
    entries, rest = await journal.finish()
    assert entries == []
    assert len(book.progresses) <= 3
    newest = rest or book.progresses[-1]
    assert newest.current == 999


async def test_output_does_not_wait_for_a_progress_that_is_held_back(book, journal, monkeypatch):
    """Progress is written ten times a second; an output behind it goes at once."""
    monkeypatch.setattr(journal_module, "_PROGRESS_INTERVAL", 3600)
    journal.progress(Progress(current=1))
    await asyncio.wait_for(book.written.wait(), 5)
    journal.progress(Progress(current=2))
    for _ in range(5):
        await asyncio.sleep(0)
    book.written.clear()
    journal.output(Output("1"))
    await asyncio.wait_for(book.written.wait(), 5)
    assert book.chunks == ["1"]


def waiting_thread(journal, chunk):
    """Return a thread that waits for room to emit, and what tells that it has."""
    through = threading.Event()

    def emit():
        journal.output(Output(chunk))
        through.set()

    thread = threading.Thread(target=emit)
    thread.start()
    assert not through.wait(0.05)
    return thread, through


async def test_the_loop_is_refused_and_a_thread_waits_when_too_much_is_unwritten(book, journal, monkeypatch):
    """Beyond the bound an async function gets OutputOverflow, a thread waits until there is room."""
    monkeypatch.setattr(journal_module, "_BOUND", 10)
    book.open.clear()
    journal.output(Output("1" * 11))
    with pytest.raises(OutputOverflow):
        journal.output(Output("2"))
    thread, through = waiting_thread(journal, "3")
    book.open.set()
    assert await asyncio.to_thread(through.wait, 5)
    thread.join()
    await journal.drain()
    assert book.chunks == ["1" * 11, "3"]


async def test_a_drain_after_a_chunk_of_a_thread_ends(book, journal, monkeypatch):
    """It asks for a flush only while something is unwritten: its own empty ones would keep it going for ever."""
    monkeypatch.setattr(journal_module, "_BOUND", 10)
    for number in range(20):
        book.open.clear()
        journal.output(Output("longer than the bound"))
        thread = threading.Thread(target=journal.output, args=(Output(str(number)),))
        thread.start()
        book.open.set()
        await asyncio.to_thread(thread.join, 5)
        async with asyncio.timeout(5):
            await journal.drain()
        assert book.chunks[-1] == str(number)


async def test_a_thread_that_logs_waits_too_and_the_loop_is_never_refused_a_line(book, journal, monkeypatch):
    """A function that logs while the store is away for an hour must not fill the memory of the process."""
    monkeypatch.setattr(journal_module, "_BOUND", 10)
    book.open.clear()
    journal.log(LogLine("1" * 11))
    journal.log(LogLine("2"))
    through = threading.Event()

    def log():
        journal.log(LogLine("3"))
        through.set()

    thread = threading.Thread(target=log)
    thread.start()
    assert not through.wait(0.05)
    book.open.set()
    assert await asyncio.to_thread(through.wait, 5)
    thread.join()
    await journal.drain()
    assert [entry.message for entries, _ in book.writes for entry in entries] == ["1" * 11, "2", "3"]


async def test_tasks_that_start_at_once_do_not_end_the_writing(book, journal, monkeypatch):
    """As with ``asyncio.eager_task_factory`` of Python 3.12: a flush with nothing to write ends before it is known."""
    loop = asyncio.get_running_loop()

    def eager(flush, *, name):
        with contextlib.suppress(StopIteration):
            flush.send(None)
            raise AssertionError("there was something to write")
        ended = loop.create_future()
        ended.set_result(None)
        return ended

    with monkeypatch.context() as patched:
        patched.setattr(journal, "_loop", SimpleNamespace(create_task=eager, time=loop.time))
        journal._start_flush()
    journal.output(Output("1"))
    await asyncio.wait_for(book.written.wait(), 5)
    assert await asyncio.wait_for(journal.finish(), 5) == ([], None)
    assert book.chunks == ["1"]


async def test_drain_returns_when_everything_is_written(book, journal):
    """Not before: ``await op.drain()`` is what keeps an async function within the bound."""
    book.open.clear()
    journal.output(Output("1"))
    draining = asyncio.ensure_future(journal.drain())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not draining.done()
    book.open.set()
    await draining
    assert book.chunks == ["1"]


async def test_a_run_that_lost_its_lease_is_told_once_and_nobody_waits(book, journal, monkeypatch):
    """The store refuses the run: the journal closes, waiting emitters go on, nothing more is written."""
    monkeypatch.setattr(journal_module, "_BOUND", 1)
    book.open.clear()
    journal.output(Output("11"))
    thread = threading.Thread(target=journal.output, args=(Output("2"),))
    thread.start()
    book.trouble = [LeaseLost("gone")]
    book.open.set()
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()
    await journal.drain()
    assert [type(error) for error in book.lost] == [LeaseLost]
    assert book.writes == []


async def test_finishing_with_much_unwritten_keeps_all_of_it_in_order(book, journal, monkeypatch):
    """The last thousands of entries are written by ``finish`` alone, also when the store is away meanwhile."""
    monkeypatch.setattr(journal_module, "_LARGEST_WRITE", 10)
    monkeypatch.setattr(journal_module, "_PATIENCE", 0.001)
    for number in range(95):
        journal.output(Output(str(number)))
    book.trouble = [StoreUnavailable("away")]
    entries, _ = await journal.finish()
    for _ in range(10):
        await asyncio.sleep(0.001)
    assert book.chunks + [entry.chunk for entry in entries] == [str(number) for number in range(95)]


async def test_a_thread_that_waits_for_room_goes_on_when_the_run_is_finished(journal, monkeypatch):
    """An overrunning function must not hold its thread for ever; what it says now is too late."""
    monkeypatch.setattr(journal_module, "_BOUND", 1)
    journal.output(Output("11"))
    thread, through = waiting_thread(journal, "2")
    entries, _ = await journal.finish()
    assert await asyncio.to_thread(through.wait, 5)
    thread.join()
    assert [entry.chunk for entry in entries] == ["11"]
