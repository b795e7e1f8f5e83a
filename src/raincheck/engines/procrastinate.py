"""Procrastinate: the queue is a table beside the operations, written in the transaction that accepts them.

Procrastinate's own worker runs here, one for each executor that has something to run. Its tables lie in Raincheck's
schema, apart from those of other installations, whose workers would not know our task. Its traps, and what is done:
jobs of a dead worker stay ``doing`` for ever, so they are dropped (the lease brings the operation back); a wake-up that
comes during a fetch is lost, so it polls every second; ``NOTIFY`` takes names of 63 bytes, so longer ones are cut.
"""

from __future__ import annotations

import functools
import logging
import re
import zlib
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from procrastinate import App, PsycopgConnector
from procrastinate.manager import JobManager
from procrastinate.schema import SchemaManager

from raincheck.core.dispatch_rules import PATIENCE_IN_A_DATABASE, Terms
from raincheck.engines.connection import KeptConnection, refused_with_a_remedy
from raincheck.engines.hosting import Hosting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from procrastinate.jobs import Job

    from raincheck.ports_engines import Desk, Dispatch
    from raincheck.ports_functions import Kind

_TASK = "raincheck.take"
_POLL = 1.0
_CONCURRENCY = 50
_CONNECTIONS = 3
_TIDY_INTERVAL = 60.0
_LONGEST_QUEUE = 63 - len("procrastinate_queue_v1#")
_SMALLEST, _LARGEST = -(2**31), 2**31 - 1

# What waits already is left out: a second job with its lock would undo the transaction.
_DEFER = """
SELECT {schema}.procrastinate_defer_jobs_v1(array_agg(
    ROW(queue, $5, priority, NULL, lock, jsonb_build_object('operation_id', id), not_before)
    ::{schema}.procrastinate_job_to_defer_v1 ORDER BY number
))
FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $6::timestamptz[])
    WITH ORDINALITY AS given (id, queue, priority, lock, not_before, number)
WHERE NOT EXISTS (
    SELECT FROM {schema}.procrastinate_jobs AS job WHERE job.queueing_lock = given.lock AND job.status = 'todo'
)
"""
_DROP_STALLED = """
DELETE FROM {schema}.procrastinate_jobs
WHERE status = 'doing' AND (worker_id IS NULL OR worker_id IN (
    SELECT id FROM {schema}.procrastinate_workers WHERE last_heartbeat < now() - interval '60 seconds'
))
"""


class ProcrastinateEngine:
    """Implements Engine.

    :param connect: opens a connection to the database, past a pooler, with asyncpg.
    :param url: the same for psycopg, which Procrastinate's worker uses.
    :param schema: where Raincheck's tables are.
    """

    name = "procrastinate"
    terms = Terms(delays=True, patience=PATIENCE_IN_A_DATABASE)
    transactional = True
    hosts_workers = True
    prioritises = True

    def __init__(self, *, connect: Callable[[], Awaitable[Any]], url: str, schema: str) -> None:
        self._url = url
        self._schema = schema
        self._defer = _DEFER.format(schema=schema)
        self._own = KeptConnection(connect)
        self._hosting = Hosting(self.name)

    def attach(self, enter: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Leave it: workers are hosted by Raincheck."""

    async def start(self, kinds: Mapping[str, Kind], *, clock: Callable[[], datetime]) -> None:
        """Make or upgrade Procrastinate's tables."""
        del kinds, clock
        async with refused_with_a_remedy(self.name, self._schema), self._own.borrowed() as connection:
            await install(connection, self._schema)

    async def stop(self) -> None:
        """Disconnect."""
        await self._own.close()

    # --- dispatching ------------------------------------------------------------------------------------------------

    async def dispatch(self, dispatches: Sequence[Dispatch]) -> None:
        """Defer a job for what none waits for already."""
        async with self._own.borrowed() as connection, connection.transaction():
            await self.enlist(connection, dispatches)

    async def enlist(self, connection: Any, dispatches: Sequence[Dispatch]) -> None:
        """Defer jobs in the transaction of a connection."""
        await self._find_tables(connection)
        await connection.execute(
            self._defer,
            [each.id for each in dispatches],
            [queue_name(each.queue, each.kind) for each in dispatches],
            [min(_LARGEST, max(_SMALLEST, each.priority)) for each in dispatches],
            [f"{each.id}:{each.run}" for each in dispatches],
            _TASK,
            [each.not_before for each in dispatches],
        )

    async def _find_tables(self, connection: Any) -> None:
        """Let Procrastinate's functions and triggers, which find its tables by the search path, find them."""
        await connection.execute("SELECT set_config('search_path', $1, true)", self._schema)

    # --- working ----------------------------------------------------------------------------------------------------

    async def work(self, desk: Desk) -> None:
        """Run a Procrastinate worker for each executor."""
        _quieten()
        self._hosting.begin()
        for executor in sorted({route.executor for route in desk.routes}):
            self._hosting.keep(functools.partial(self._work_for, executor, desk), what=executor)
        self._hosting.keep(self._tidy, what="tidying")

    async def rest(self) -> None:
        """Stop the workers; what they fetched is handed in by then."""
        await self._hosting.rest()

    async def _work_for(self, executor: str, desk: Desk) -> None:
        app = App(connector=self._connector())
        app.job_manager = RoomyJobManager(app.connector, desk, executor)

        @app.task(name=_TASK)
        async def take(operation_id: str) -> None:
            await desk.take(operation_id, executor=executor)

        queues = {queue_name(route.queue, route.kind) for route in desk.routes if route.executor == executor}
        async with app.open_async():
            worker: Any = app._worker(  # noqa: SLF001 - its public form cannot be stopped without cancelling what it has
                queues=sorted(queues),
                concurrency=_CONCURRENCY,
                fetch_job_polling_interval=_POLL,
                delete_jobs="always",
                install_signal_handlers=False,
            )
            with self._hosting.stopped_by(worker.stop):
                await worker.run()

    def _connector(self) -> PsycopgConnector:
        options = f"-c search_path={self._schema}"
        return PsycopgConnector(
            conninfo=self._url, kwargs={"options": options}, min_size=1, max_size=_CONNECTIONS, timeout=5.0
        )

    async def _tidy(self) -> None:
        """Drop jobs of workers that died: Procrastinate leaves them as they are."""
        async with self._own.borrowed() as connection, connection.transaction():
            await self._find_tables(connection)
            await connection.execute(_DROP_STALLED.format(schema=self._schema))
        await self._hosting.until_rest(_TIDY_INTERVAL)

    async def describe(self) -> str:
        """Return what waits in Procrastinate's table."""
        table = f"{self._schema}.procrastinate_jobs"
        async with self._own.borrowed() as connection:
            if not await connection.fetchval("SELECT to_regclass($1)", table):
                return f"its tables are not in schema {self._schema!r} yet; the first start makes them"
            waiting = await connection.fetchval(f"SELECT count(*) FROM {table} WHERE status = 'todo'")  # noqa: S608
        return f"{waiting} jobs wait in {table}"


class RoomyJobManager(JobManager):
    """Fetches a job only where the desk has room for it."""

    def __init__(self, connector: Any, desk: Desk, executor: str) -> None:
        super().__init__(connector)
        self._desk = desk
        self._executor = executor

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Wait for room, then fetch; nothing at the end."""
        if await self._desk.room(self._executor) == 0:
            return None
        job = await super().fetch_job(queues, worker_id)
        if job is not None:
            self._desk.expect(self._executor, 1)
        return job


def queue_name(queue: str, kind: str) -> str:
    """Return the queue at Procrastinate: one for each kind, so that a worker fetches only what it knows."""
    name = f"{queue}/{kind}"
    if len(name.encode()) <= _LONGEST_QUEUE:
        return name
    digest = sha256(name.encode()).hexdigest()[:12]
    return name.encode()[: _LONGEST_QUEUE - len(digest) - 1].decode(errors="ignore") + "~" + digest


async def install(connection: Any, schema: str) -> None:
    """Make the tables, or bring those of an older Procrastinate to this one; starts at once wait for each other."""
    ours = version("procrastinate")
    table = f"{schema}.procrastinate_jobs"
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = 0")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", zlib.crc32(table.encode()))
        await connection.execute("SELECT set_config('search_path', $1, true)", schema)
        if not await connection.fetchval("SELECT to_regclass($1)", table):
            await connection.execute(SchemaManager.get_schema())
        else:
            theirs = await connection.fetchval("SELECT obj_description($1::text::regclass, 'pg_class')", table)
            if theirs == ours:
                return
            for script in migrations_after(theirs):
                await connection.execute(script)
        await connection.execute(f"COMMENT ON TABLE {table} IS '{ours}'")


def migrations_after(release: str) -> list[str]:
    """Return Procrastinate's migrations that are newer than a release of it."""
    scripts = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    return [file.read_text(encoding="utf-8") for file in scripts if _numbers(file.name[:8]) > _numbers(release)]


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", release)[:3])


def _quieten() -> None:
    """Keep two lines for each job out of the log, unless the application has said what it wants to read."""
    log = logging.getLogger("procrastinate")
    if log.level == logging.NOTSET:
        log.setLevel(logging.WARNING)
