"""What engines in PostgreSQL leave behind is taken away by Raincheck's workers."""

from __future__ import annotations

import asyncio

import pytest

from raincheck.engine_choice import chosen_engine
from raincheck.settings import Settings
from raincheck.testing.conformance.engines import KINDS, CountingDesk, now, rest
from tests.conformance.test_postgres_engines import prepared

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("name", "left", "kept"),
    [
        (
            "procrastinate",
            (
                "INSERT INTO procrastinate_jobs (queue_name, task_name, status) "
                "VALUES ('q', 't', 'doing'), ('q', 't', 'todo')"
            ),
            "SELECT string_agg(status::text, ' ') FROM procrastinate_jobs",
        ),
        (
            "pgqueuer",
            (
                "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, aggregated, created) VALUES "
                "(1, 'successful', 0, 'q/t', true, now() - interval '8 days'), (2, 'queued', 0, 'q/t', true, now())"
            ),
            "SELECT string_agg(status::text, ' ') FROM pgqueuer_log",
        ),
    ],
)
async def test_what_nobody_else_removes_is_removed(postgres, postgres_url, name, left, kept) -> None:
    """Jobs of workers that died at Procrastinate, and lines of PgQueuer's log that are older than a week."""
    schema = postgres_url.rpartition("=")[2]
    await prepared(postgres_url)
    engine = chosen_engine(None, Settings(store=postgres_url, engine=name))
    assert engine is not None
    await engine.start(KINDS, clock=now)
    postgres.psql(f"SET search_path TO {schema}; {left}")
    desk = CountingDesk()
    await engine.work(desk)
    try:
        async with asyncio.timeout(20):
            while postgres.psql(f"SET search_path TO {schema}; {kept}").split()[1:] not in (["todo"], ["queued"]):
                await asyncio.sleep(0.05)
    finally:
        await rest(engine, desk)
        await engine.stop()
