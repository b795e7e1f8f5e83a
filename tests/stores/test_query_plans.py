"""No query of the store looks at more rows than it needs: a million finished operations cost nothing."""

from __future__ import annotations

import asyncio
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
from raincheck.stores.sqlite import SqliteStore, opening, reading
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
ALIASES = ("due", "first", "late", "lower")  # of operations: a plan names nothing else
# These indexes hold unfinished operations only, or are read in order up to a limit.
SMALL = re.compile(r"USING (COVERING )?INDEX operations_(queued|queued_changed|held|deadline|dispatch)\b")
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
    assert queued.id in await store.prune(NOW + timedelta(days=30))
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
    return re.match(rf"(SCAN|SEARCH) ({'|'.join((*TABLES, *ALIASES))})\b", line) is not None


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
        ("SCAN late", False),
        ("SCAN operations USING INDEX sqlite_autoindex_operations_1", False),
    ],
)
def test_a_plan_that_looks_at_everything_is_found_out(line, *, bounded):
    """The check above can fail."""
    assert reads_a_table(line)
    assert is_bounded(line, "SELECT 1 FROM operations WHERE status = 'queued'") is bounded


class Steps:
    """Counts what SQLite does on a connection, in hundreds of instructions."""

    def __init__(self, connection) -> None:
        self.count = 0
        connection.set_progress_handler(self._step, 100)

    def _step(self):
        self.count += 1
        return 0

    def taken(self):
        """Return the steps since the last time."""
        found, self.count = self.count, 0
        return found


async def test_what_waits_for_another_time_costs_neither_a_claim_nor_a_submit_nor_a_poll(tmp_path):
    """After an outage tens of thousands of retries wait for their moment: looking through them would hold up all."""
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    first = await submitted(store, priority=7)
    for start_at in range(0, 3000, 500):
        later = [
            an_operation(run_at=NOW + DAY, scheduled_for=NOW + DAY, priority=number % 3)
            for number in range(start_at, start_at + 500)
        ]
        await asyncio.gather(*map(store.submit, later))
    writing = Steps(store._connection)
    assert [each.id for each in await store.claim(a_claim(limit=10))] == [first.id]
    assert writing.taken() < 50
    assert await store.claim(a_claim(limit=10)) == []
    assert writing.taken() < 50
    begun = await store.submit(an_operation(), claim=a_claim(limit=1))
    assert begun.begun is not None
    assert writing.taken() < 50
    second = await submitted(store, priority=7)
    with contextlib.closing(opening.connect(store.path, read_only=True)) as connection:
        polling = Steps(connection)
        assert reading.queue_position(connection, second) == 0
        assert polling.taken() < 50
    await store.close()


async def test_the_best_priority_goes_first_then_the_longest_due_whatever_waits_beside(tmp_path):
    """Also with what a clock that was set back has left in the future."""
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    wanted = []
    for priority in (9, 5, 5, 0, -3):
        due = NOW - timedelta(seconds=100 - len(wanted))
        wanted.append((await submitted(store, priority=priority, run_at=due, created_at=due, updated_at=due)).id)
        await submitted(store, priority=priority, run_at=NOW + DAY)
        await submitted(store, priority=priority, run_at=due, kind="image")
    left = NOW + timedelta(hours=2)
    lost = await submitted(store, priority=5, run_at=left, created_at=left, updated_at=left)
    wanted.insert(3, lost.id)
    claimed = [each.id for _ in range(4) for each in await store.claim(a_claim(limit=2))]
    assert claimed == wanted
    await store.close()
