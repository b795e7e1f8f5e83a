"""The promises of Engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from raincheck.core.moments import milliseconds
from raincheck.core.names import RANDOM_BYTES, operation_id
from raincheck.core.retry import Retry
from raincheck.ports_engines import Dispatch, Engine, Route, is_transactional
from raincheck.ports_functions import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

PATIENCE = 15.0
SILENCE = 1.2
"""What has not come after this time does not come: longer than an engine may take for a message it has."""


def a_kind(name: str, *, executor: str = "async", queue: str = "default") -> Kind:
    """Return a kind as engines see it."""
    return Kind(
        name=name,
        function=print,
        executor=executor,
        retry=Retry(),
        timeout=None,
        max_losses=3,
        retention=timedelta(days=7),
        memory_limit=None,
        queue=queue,
        priority=0,
        wait=timedelta(0),
        binding=None,  # type: ignore[arg-type]
    )


KINDS = {
    kind.name: kind
    for kind in (
        a_kind("report"),
        a_kind("image", executor="thread"),
        a_kind("slow", queue="slow"),
    )
}


def now() -> datetime:
    """Return the moment."""
    return datetime.now(UTC)


def a_dispatch(kind: str = "report", **fields: Any) -> Dispatch:
    """Return what an engine is told of a new operation that is due."""
    made: dict[str, Any] = {
        "id": operation_id(milliseconds=milliseconds(now()), entropy=os.urandom(RANDOM_BYTES)),
        "run": 0,
        "kind": kind,
        "queue": KINDS[kind].queue,
        "priority": 0,
        "not_before": now(),
    }
    return Dispatch(**(made | fields))


class CountingDesk:
    """A desk that begins nothing: each message takes a slot until ``free``."""

    def __init__(self, *kinds: str, slots: int = 1000) -> None:
        wanted = [KINDS[name] for name in kinds or KINDS]
        self.routes = [Route(queue=kind.queue, kind=kind.name, executor=kind.executor) for kind in wanted]
        self.slots = slots
        self.taken: list[str] = []
        self.most = 0
        self._busy: Counter[str] = Counter()
        self._expected: Counter[str] = Counter()
        self._closed = False
        self._news = asyncio.Condition()

    async def room(self, executor: str) -> int:
        """Wait for a free slot."""
        async with self._news:
            await self._news.wait_for(lambda: self._closed or self._free(executor) > 0)
        return 0 if self._closed else self._free(executor)

    def expect(self, executor: str, count: int) -> None:
        """Keep slots free."""
        self._expected[executor] += count

    async def take(self, operation_id: str, *, executor: str, to_the_end: bool = False) -> None:
        """Note the message."""
        del to_the_end
        async with self._news:
            self._expected[executor] -= 1
            self._busy[executor] += 1
            self.most = max(self.most, self._busy[executor])
            self.taken.append(operation_id)
            self._news.notify_all()

    async def free(self) -> None:
        """End all that runs."""
        async with self._news:
            self._busy.clear()
            self._news.notify_all()

    async def close(self) -> None:
        """Have no more room."""
        async with self._news:
            self._closed = True
            self._news.notify_all()

    async def until(self, count: int) -> list[str]:
        """Wait until so many messages were handed in."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self.taken) >= count)
        return self.taken

    def _free(self, executor: str) -> int:
        return self.slots - self._busy[executor] - self._expected[executor]


class EngineConformance:
    """Provide ``make``: a fixture with a function that returns engines, not started, on one empty server."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    async def started(self, make: Callable[[], Engine]) -> AsyncIterator[Callable[..., Awaitable[Engine]]]:
        """Start engines as processes would; all are stopped at the end."""
        async with contextlib.AsyncExitStack() as stack:

            async def start(desk: CountingDesk | None = None, kinds: Mapping[str, Kind] = KINDS) -> Engine:
                engine = make()
                await engine.start(kinds, clock=now)
                stack.push_async_callback(engine.stop)
                if desk is not None:
                    stack.push_async_callback(rest, engine, desk)
                    await engine.work(desk)
                return engine

            yield start

    async def test_a_message_reaches_a_worker_that_waits(self, started: Callable[..., Awaitable[Engine]]) -> None:
        """Told by a process that runs no work, as a web server may be."""
        desk = CountingDesk()
        await started(desk)
        web = await started()
        told = a_dispatch()
        await web.dispatch([told])
        assert await desk.until(1) == [told.id]

    async def test_messages_wait_for_a_worker(self, started: Callable[..., Awaitable[Engine]]) -> None:
        """Whether one runs at that moment or not."""
        web = await started()
        told = [a_dispatch(kind) for kind in KINDS for _ in range(20)]
        await web.dispatch(told)
        desk = CountingDesk()
        await started(desk)
        assert sorted(await desk.until(60)) == sorted(each.id for each in told)

    async def test_each_message_goes_to_one_worker(self, started: Callable[..., Awaitable[Engine]]) -> None:
        """As long as nobody dies."""
        desks = [CountingDesk(), CountingDesk()]
        for desk in desks:
            await started(desk)
        web = await started()
        told = [a_dispatch(kind) for kind in KINDS for _ in range(20)]
        await web.dispatch(told)
        await until(lambda: len(desks[0].taken) + len(desks[1].taken) >= len(told))
        await asyncio.sleep(SILENCE)
        assert sorted(desks[0].taken + desks[1].taken) == sorted(each.id for each in told)

    async def test_no_more_is_handed_in_than_there_is_room_for(self, started: Callable[..., Awaitable[Engine]]) -> None:
        """What finds no room stays for others; a slot that comes free takes the next."""
        desk = CountingDesk("report", slots=3)
        web = await started(desk)
        await web.dispatch([a_dispatch() for _ in range(10)])
        for handed in (3, 6, 9):
            await desk.until(handed)
            await asyncio.sleep(SILENCE / 3)
            assert len(desk.taken) == handed
            await desk.free()
        await desk.until(10)
        assert desk.most == 3

    async def test_a_full_executor_holds_up_no_other(self, started: Callable[..., Awaitable[Engine]]) -> None:
        """Threads that are busy for an hour keep no coroutine waiting."""
        desk = CountingDesk("report", "image", slots=2)
        web = await started(desk)
        await web.dispatch([a_dispatch("image") for _ in range(8)])
        await desk.until(2)
        report = a_dispatch("report")
        await web.dispatch([report])
        assert report.id in await desk.until(3)
        assert len(desk.taken) == 3

    async def test_a_worker_gets_only_what_it_wants(self, started: Callable[..., Awaitable[Engine]]) -> None:
        """A worker for one queue leaves the others to others."""
        narrow = CountingDesk("report")
        web = await started(narrow)
        slow, report = a_dispatch("slow"), a_dispatch("report")
        await web.dispatch([slow, report])
        assert await narrow.until(1) == [report.id]
        wide = CountingDesk("slow")
        await started(wide)
        assert await wide.until(1) == [slow.id]
        assert narrow.taken == [report.id]

    async def test_nothing_comes_before_its_time(self, started: Callable[..., Awaitable[Engine]]) -> None:
        """Where the engine keeps the time; else it is told only when that has come."""
        desk = CountingDesk()
        web = await started(desk)
        if not web.terms.delays:
            pytest.skip("it is told of an operation only when that is due")
        later = a_dispatch(not_before=now() + timedelta(seconds=2))
        at_once = a_dispatch()
        await web.dispatch([later, at_once])
        assert await desk.until(1) == [at_once.id]
        assert await desk.until(2) == [at_once.id, later.id]
        assert now() >= later.not_before - timedelta(seconds=0.1)

    async def test_the_best_priority_goes_first(self, started: Callable[..., Awaitable[Engine]]) -> None:
        """Where the engine knows priorities; the higher number wins."""
        web = await started()
        if not web.prioritises:
            pytest.skip("it knows no priorities")
        low, high, mean = a_dispatch(priority=-5), a_dispatch(priority=9), a_dispatch()
        await web.dispatch([low, high, mean])
        desk = CountingDesk("report", slots=1)
        await started(desk)
        for count in (1, 2, 3):
            await desk.until(count)
            await desk.free()
        assert desk.taken == [high.id, mean.id, low.id]

    async def test_the_same_operation_may_be_dispatched_twice(self, started: Callable[..., Awaitable[Engine]]) -> None:
        """It is told again when it has waited for long; the second message harms nothing."""
        web = await started()
        told = a_dispatch()
        await web.dispatch([told, a_dispatch()])
        await web.dispatch([told])
        await web.dispatch([a_dispatch(id=told.id, run=1)])
        desk = CountingDesk()
        await started(desk)
        await desk.until(3)
        await asyncio.sleep(SILENCE)
        assert len(set(desk.taken)) == 2
        assert Counter(desk.taken)[told.id] in {2, 3}

    async def test_a_worker_at_rest_gets_nothing(self, started: Callable[..., Awaitable[Engine]]) -> None:
        """What comes now is for others, and nothing is lost between the two."""
        first, second = CountingDesk(), CountingDesk()
        engine = await started(first)
        before = [a_dispatch() for _ in range(50)]
        await engine.dispatch(before)
        await first.until(1)
        await rest(engine, first)
        handed = len(first.taken)
        after = [a_dispatch() for _ in range(5)]
        await engine.dispatch(after)
        await asyncio.sleep(SILENCE)
        assert len(first.taken) == handed
        await started(second)
        await second.until(len(before) + len(after) - handed)
        assert {*first.taken, *second.taken} == {each.id for each in (*before, *after)}

    async def test_resting_takes_two_seconds_at_most(self, started: Callable[..., Awaitable[Engine]]) -> None:
        """A deployment does not wait for an engine, whether there is room or not."""
        idle, busy = CountingDesk(), CountingDesk("report", slots=1)
        engines = [await started(idle, KINDS), await started(busy)]
        await engines[0].dispatch([a_dispatch() for _ in range(5)])
        await until(lambda: bool(busy.taken) or len(idle.taken) == 5)
        begun = asyncio.get_running_loop().time()
        await asyncio.gather(rest(engines[0], idle), rest(engines[1], busy))
        assert asyncio.get_running_loop().time() - begun < 3.0

    async def test_an_engine_starts_again(self, make: Callable[[], Engine]) -> None:
        """A test client enters the application's lifespan more than once."""
        engine = make()
        for _ in range(2):
            desk = CountingDesk()
            await engine.start(KINDS, clock=now)
            await engine.work(desk)
            told = a_dispatch()
            await engine.dispatch([told])
            assert await desk.until(1) == [told.id]
            await rest(engine, desk)
            await engine.stop()

    async def test_it_describes_what_it_finds(self, started: Callable[..., Awaitable[Engine]]) -> None:
        """One line for the operator."""
        web = await started()
        line = await web.describe()
        assert line
        assert "\n" not in line


class TransactionalEngineConformance:
    """Promise 6. Provide ``connection``: a connection to the engine's database, and ``make``."""

    pytestmark = pytest.mark.anyio

    async def test_messages_count_if_the_transaction_commits(self, make: Callable[[], Engine], connection: Any) -> None:
        """Nothing can be lost between the record and the queue, and nothing is queued without a record."""
        engine, desk = make(), CountingDesk()
        assert is_transactional(engine)
        await engine.start(KINDS, clock=now)
        await engine.work(desk)
        try:
            kept, dropped = [a_dispatch(), a_dispatch("image")], [a_dispatch(), a_dispatch("image")]
            for dispatches, end in ((dropped, "ROLLBACK"), (kept, "COMMIT")):
                await connection.execute("BEGIN")
                await engine.enlist(connection, dispatches)
                await asyncio.sleep(SILENCE / 2)
                assert desk.taken == []
                await connection.execute(end)
            await desk.until(2)
            await asyncio.sleep(SILENCE)
            assert sorted(desk.taken) == sorted(each.id for each in kept)
        finally:
            await rest(engine, desk)
            await engine.stop()


class FragileEngineConformance:
    """Promise 5. Provide ``make`` and ``outage``: an asynchronous context in which the engine's server is away."""

    pytestmark = pytest.mark.anyio

    async def test_an_engine_that_lost_its_server_connects_again(
        self, make: Callable[[], Engine], outage: Callable[[], contextlib.AbstractAsyncContextManager[None]]
    ) -> None:
        """Both sides: the one that tells and the one that works."""
        engine, desk = make(), CountingDesk()
        await engine.start(KINDS, clock=now)
        await engine.work(desk)
        try:
            first = a_dispatch()
            await engine.dispatch([first])
            await desk.until(1)
            async with outage():
                with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the server's client raises
                    await asyncio.wait_for(engine.dispatch([a_dispatch()]), PATIENCE)
            second = a_dispatch()
            await until_dispatched(engine, [second])
            await until(lambda: second.id in desk.taken)
        finally:
            await rest(engine, desk)
            await engine.stop()


async def rest(engine: Engine, desk: CountingDesk) -> None:
    """Let a worker rest as Raincheck does: there is no more room, then nothing more is fetched."""
    await desk.close()
    await engine.rest()


async def until_dispatched(engine: Engine, dispatches: Sequence[Dispatch]) -> None:
    """Dispatch as Raincheck does: again until it succeeds."""
    async with asyncio.timeout(2 * PATIENCE):
        while True:
            try:
                await engine.dispatch(dispatches)
            except Exception:  # noqa: BLE001 - away
                await asyncio.sleep(0.2)
            else:
                return


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other tasks bring about."""
    async with asyncio.timeout(2 * PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.02)
