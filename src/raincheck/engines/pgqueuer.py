"""PgQueuer: the queue is a table beside the operations, written in the transaction that accepts them.

PgQueuer's own worker runs here, one for each executor that has something to run; it fetches no more than there is room
for. Its tables lie in Raincheck's schema, so they get in no other installation's way; its tools find them there
(``PGQUEUER_SCHEMA=raincheck PGQUEUER_CHANNEL=raincheck_pgqueuer pgq dashboard``).
"""

from __future__ import annotations

import asyncio
import functools
import zlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.executors import AbstractEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel

from raincheck.core.dispatch_rules import PATIENCE_IN_A_DATABASE, Terms
from raincheck.engines.connection import KeptConnection, refused_with_a_remedy
from raincheck.engines.hosting import Hosting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from pgqueuer.domain.models import Context, Job

    from raincheck.ports_engines import Desk, Dispatch
    from raincheck.ports_functions import Kind

_BATCH = 100
_POLL = timedelta(seconds=1)
_STALE = timedelta(seconds=30)
_TIDY_INTERVAL = 300.0
_LOG_KEPT = timedelta(days=7)
_AT_ONCE = timedelta(0)
_SMALLEST, _LARGEST = -(2**31), 2**31 - 1


class PgQueuerEngine:
    """Implements Engine.

    :param connect: opens a connection to the database, past a pooler.
    :param schema: where Raincheck's tables are.
    """

    name = "pgqueuer"
    terms = Terms(delays=True, patience=PATIENCE_IN_A_DATABASE)
    transactional = True
    hosts_workers = True
    prioritises = True

    def __init__(self, *, connect: Callable[[], Awaitable[Any]], schema: str) -> None:
        self._connect = connect
        self._names = settings_of(schema)
        self._enqueue = QueryQueueBuilder(self._names).build_enqueue_query("skip")
        self._own = KeptConnection(connect)
        self._clock: Callable[[], datetime] | None = None
        self._hosting = Hosting(self.name)

    def attach(self, enter: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Leave it: workers are hosted by Raincheck."""

    async def start(self, kinds: Mapping[str, Kind], *, clock: Callable[[], datetime]) -> None:
        """Make or upgrade PgQueuer's tables."""
        del kinds
        self._clock = clock
        schema = str(self._names.db_schema)
        async with refused_with_a_remedy(self.name, schema), self._own.borrowed() as connection:
            await install(connection, self._names)

    async def stop(self) -> None:
        """Disconnect."""
        await self._own.close()

    # --- dispatching ------------------------------------------------------------------------------------------------

    async def dispatch(self, dispatches: Sequence[Dispatch]) -> None:
        """Enqueue what is not enqueued already."""
        async with self._own.borrowed() as connection:
            await self.enlist(connection, dispatches)

    async def enlist(self, connection: Any, dispatches: Sequence[Dispatch]) -> None:
        """Enqueue in the transaction of a connection; one job for each wait of an operation."""
        if self._clock is None:
            msg = "the engine was not started"
            raise RuntimeError(msg)
        now = self._clock()
        # PgQueuer's own statement, without what its `enqueue` does for each call and row: an accept waits for this.
        await connection.fetch(
            self._enqueue,
            [min(_LARGEST, max(_SMALLEST, each.priority)) for each in dispatches],
            [entrypoint(each.queue, each.kind) for each in dispatches],
            [each.id.encode() for each in dispatches],
            [max(_AT_ONCE, each.not_before - now) for each in dispatches],
            [f"{each.id}:{each.run}" for each in dispatches],
            ["null"] * len(dispatches),
        )

    # --- working ----------------------------------------------------------------------------------------------------

    async def work(self, desk: Desk) -> None:
        """Run a PgQueuer worker for each executor."""
        self._hosting.begin()
        for executor in sorted({route.executor for route in desk.routes}):
            self._hosting.keep(functools.partial(self._work_for, executor, desk), what=executor)
        self._hosting.keep(self._tidy, what="tidying")

    async def rest(self) -> None:
        """Stop the workers; what they fetched is handed in by then."""
        await self._hosting.rest()

    async def _work_for(self, executor: str, desk: Desk) -> None:
        connection = await self._connect()
        queries = queries_on(connection, self._names, RoomyQueries)
        queries.desk, queries.executor = desk, executor
        manager = QueueManager(queries, channel=self._names.channel)
        for route in desk.routes:
            if route.executor == executor:
                manager.register_executor(entrypoint(route.queue, route.kind), HandIn(queries))
        try:
            with self._hosting.stopped_by(manager.shutdown.set):
                await manager.run(
                    dequeue_timeout=_POLL,
                    batch_size=_BATCH,
                    heartbeat_timeout=_STALE,
                    shutdown_on_listener_failure=True,
                )
        finally:
            queries.forget()
            connection.terminate()

    async def _tidy(self) -> None:
        """Drop old lines of PgQueuer's log, which it keeps for ever: three for each message."""
        names = self._names.qualified
        old = f"DELETE FROM {names.queue_table_log} WHERE aggregated AND created < now() - $1::interval"  # noqa: S608
        async with self._own.borrowed() as connection:
            await connection.execute(old, _LOG_KEPT)
        await self._hosting.until_rest(_TIDY_INTERVAL)

    async def describe(self) -> str:
        """Return what waits in PgQueuer's table."""
        async with self._own.borrowed() as connection:
            queries = queries_on(connection, self._names)
            if not await queries.schema_is_installed():
                return f"its tables are not in schema {self._names.db_schema!r} yet; the first start makes them"
            sizes = await queries.queue_size()
        waiting = sum(size.count for size in sizes if size.status == "queued")
        return f"{waiting} jobs wait in {self._names.qualified.queue_table}"


@dataclass
class RoomyQueries(Queries):
    """Fetches no more jobs than the desk has room for."""

    desk: Desk | None = None
    executor: str = ""
    coming: set[int] = field(default_factory=set)

    async def dequeue(self, batch_size: int, *arguments: Any, **keywords: Any) -> list[Job]:
        """Wait for room, then fetch."""
        if self.desk is None:
            return []
        await asyncio.sleep(0)  # what was fetched last has been handed in by then, or was cancelled at PgQueuer
        self.forget()
        room = await self.desk.room(self.executor)
        if room == 0:
            return []
        jobs = await super().dequeue(min(batch_size, room), *arguments, **keywords)
        self.coming = {job.id for job in jobs}
        self.desk.expect(self.executor, len(jobs))
        return jobs

    def forget(self) -> None:
        """Give the slots back that were kept for jobs which nobody handed in."""
        if self.desk is not None and self.coming:
            self.desk.expect(self.executor, -len(self.coming))
            self.coming = set()


class HandIn(AbstractEntrypointExecutor):
    """What PgQueuer runs for a job: it is done once the operation has begun."""

    def __init__(self, queries: RoomyQueries) -> None:
        super().__init__(EntrypointExecutorParameters(concurrency_limit=0, func=_unused))
        self._queries = queries

    async def execute(self, job: Job, context: Context) -> None:
        """Hand the operation in."""
        del context
        queries = self._queries
        if queries.desk is None or job.payload is None:
            return
        if job.id in queries.coming:
            queries.coming.discard(job.id)
        else:
            queries.desk.expect(queries.executor, 1)
        await queries.desk.take(job.payload.decode(), executor=queries.executor)


async def _unused(job: Job) -> None:
    """Stand where PgQueuer's executors name a function."""
    del job


def entrypoint(queue: str, kind: str) -> str:
    """Return what PgQueuer routes by: a worker fetches only kinds that it knows."""
    return f"{queue}/{kind}"


def settings_of(schema: str) -> DBSettings:
    """Return PgQueuer's names in Raincheck's schema, whatever the environment says of another installation."""
    return DBSettings(
        prefix="",
        db_schema=schema,
        channel=Channel(f"{schema}_pgqueuer"),
        function="fn_pgqueuer_changed",
        statistics_table="pgqueuer_statistics",
        queue_status_type="pgqueuer_status",
        queue_table="pgqueuer",
        queue_table_log="pgqueuer_log",
        trigger="tg_pgqueuer_changed",
        schedules_table="pgqueuer_schedules",
        durability=Durability.balanced,
    )


def queries_on(connection: Any, names: DBSettings, made: type[Any] = Queries) -> Any:
    """Return PgQueuer's statements for a connection."""
    return made(
        AsyncpgDriver(connection),
        qbe=QueryBuilderEnvironment(names),
        qbq=QueryQueueBuilder(names),
        qbs=QuerySchedulerBuilder(names),
    )


async def install(connection: Any, names: DBSettings) -> None:
    """Make or upgrade the tables; several processes that start at once wait for each other."""
    queries = queries_on(connection, names)
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = 0")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", zlib.crc32(f"{names.channel}".encode()))
        if not await queries.schema_is_installed():
            await queries.install(create_schema=False)
    if (await queries.plan_upgrade()).statements:
        await queries.apply_upgrade()
