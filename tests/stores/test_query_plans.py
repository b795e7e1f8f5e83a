"""No query of the store looks at more rows than it needs: a million finished operations cost nothing."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from datetime import timedelta

import pytest

from raincheck.core import transitions
from raincheck.core.dispatch_rules import Terms
from raincheck.core.events import Output
from raincheck.core.operation import Status
from raincheck.ports import Lease, ListQuery, Ticket
from raincheck.stores.sqlite import SqliteStore, opening
from raincheck.testing.conformance.specimens import (
    DAY,
    LEASE_END,
    NOW,
    WORKER,
    a_claim,
    an_operation,
    start,
    submitted,
    succeed,
)

pytestmark = pytest.mark.anyio
TABLES = ("operations", "events", "tombstones", "tickets")
# These indexes hold unfinished operations only, or are read in order up to a limit.
SMALL = re.compile(
    r"USING (COVERING )?INDEX (operations_queued|operations_held|operations_deadline|operations_dispatch)\b"
)
IN_ORDER = re.compile(r"SCAN operations USING INDEX sqlite_autoindex_operations_1")


@pytest.fixture
async def spied(tmp_path, monkeypatch):
    """Provide an open store, and the set of all statements that it executes from then on."""
    statements = set()

    def connect(path, *, read_only=False):
        connection = opening.connect(path, read_only=read_only)
        connection.set_trace_callback(statements.add)
        return connection

    for module in ("store", "reader"):
        monkeypatch.setattr(f"raincheck.stores.sqlite.{module}.connect", connect)
    store = SqliteStore(tmp_path / "raincheck.db")
    await store.open()
    statements.clear()
    yield store, statements
    await store.close()


async def use_everything(store):
    """Call every method of the ports, so that every statement is executed."""
    keyed = {"idempotency_key": "k", "fingerprint": "f", "owner": "me"}
    operation = await submitted(store, **keyed)
    await store.submit(an_operation(**keyed))
    await store.submit(an_operation(), claim=a_claim(limit=1))
    await store.claim(a_claim(queues=("default",)))
    await store.change(operation.id, lambda found: transitions.record(found, run=1, entries=[Output("1")], now=NOW))
    await store.renew([Lease(operation.id, 1)], lease_until=LEASE_END)
    await succeed(store, operation.id)
    await store.get(operation.id)
    await store.get(an_operation().id)
    await store.cancelling(WORKER)
    await store.overdue(NOW)
    for query in LISTS:
        await store.list_page(query)
    queued = await submitted(store)
    await store.queue_position(queued)
    await store.queue_depth(limit=10)
    await store.known([operation.id])
    await store.versions([operation.id])
    await store.changed_since("me", NOW)
    await store.events_after({operation.id: 0})
    await store.issue(Ticket("digest", operation.id, "me", NOW + DAY), now=NOW)
    await store.use("digest", resuming=False, now=NOW, until=NOW + DAY)
    await store.end_use("digest", given=NOW + DAY, until=NOW + DAY)
    await store.delete(operation.id, check=transitions.refuse_delete, now=NOW)
    await start(store, queued.id)
    await succeed(store, queued.id)
    assert await store.prune(NOW + timedelta(days=30)) == [queued.id]
    early = await submitted(store)
    store.set_terms(Terms(delays=False))
    assert await store.adopt(now=NOW) == 1
    assert [each.id for each in await store.take_overdue(["report"], now=NOW)] == [early.id]
    assert [each.id for each in await store.claim(a_claim(ids=(early.id,)))] == [early.id]


LISTS = (
    ListQuery(owner="me"),
    ListQuery(owner="me", before_id="op_1", kind="report"),
    ListQuery(owner=None),
    ListQuery(owner=None, before_id="op_1", created_after=NOW, created_before=NOW + DAY),
    ListQuery(owner=None, statuses=(Status.QUEUED,)),
    ListQuery(owner=None, statuses=(Status.RUNNING, Status.CANCELLING)),
)


async def test_no_statement_looks_at_all_finished_operations(spied):
    """Every table is searched by an index, or read in the order of one that holds unfinished operations only."""
    store, statements = spied
    await use_everything(store)
    planned = {statement: plan(store.path, statement) for statement in statements if not statement.startswith("PRAGMA")}
    assert len(planned) > 25, "the spy has gone deaf"
    bad = {
        (line, statement)
        for statement, lines in planned.items()
        for line in lines
        if reads_a_table(line) and not is_bounded(line, statement)
    }
    assert not bad


def plan(path, statement):
    """Return the lines of SQLite's plan."""
    if statement in {"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"}:
        return []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]


def reads_a_table(line):
    return re.match(rf"(SCAN|SEARCH) ({'|'.join(TABLES)})\b", line) is not None


def is_bounded(line, statement):
    if line.startswith("SEARCH"):
        return True
    if IN_ORDER.match(line):
        return statement.endswith("LIMIT 50") and " status " not in statement.partition("WHERE")[2]
    return SMALL.search(line) is not None


@pytest.mark.parametrize(
    ("line", "bounded"),
    [
        ("SCAN operations", False),
        ("SCAN events", False),
        ("SEARCH operations USING INDEX sqlite_autoindex_operations_1 (id=?)", True),
        ("SCAN operations USING INDEX operations_queued", True),
        ("SCAN operations USING INDEX operations_owner", False),
        ("SCAN operations USING INDEX sqlite_autoindex_operations_1", False),
    ],
)
def test_a_plan_that_looks_at_everything_is_found_out(line, *, bounded):
    """The check above can fail."""
    assert reads_a_table(line)
    assert is_bounded(line, "SELECT 1 FROM operations WHERE status = 'queued'") is bounded
