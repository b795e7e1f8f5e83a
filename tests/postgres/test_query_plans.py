"""No statement of the store looks at all finished operations: as tests/stores shows for SQLite, here by EXPLAIN."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import asyncpg
import pytest

from benchmarks.filling import statements as filling
from raincheck.core import delivery_rules
from raincheck.core.endpoints import Endpoint
from raincheck.core.operation import Status
from raincheck.ports_deliveries import DeliveryClaim, DeliveryQuery
from raincheck.stores.postgres import PostgresStore
from raincheck.stores.postgres.connecting import connect
from raincheck.stores.postgres.overview import PostgresOverview
from raincheck.testing.conformance.specimens import DAY, NOW, WORKER, brought_to, started, succeed
from tests.postgres.conftest import database_at
from tests.stores.test_query_plans import use_everything

pytestmark = pytest.mark.anyio
MANY = 5000
LARGE = {"operations", "events", "deliveries", "tombstones", "idempotency_keys", "tickets", "blobs", "blob_pieces"}
# These hold what is unfinished only, so reading them whole reads no history.
SMALL = re.compile(r"operations_(queued|held|deadline)|deliveries_(pending|sending|paused)")
# Read in its order up to the page's limit.
PAGED = {"operations_pkey", "deliveries_pkey"}
CONTROL = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK|SET|SHOW|LOCK|SELECT (set_config|pg_|clock_timestamp|nextval|1$))")


@pytest.fixture
async def full(postgres_url, sent):
    """Provide an open store beside much that has finished, and what it sends to the server from then on."""
    database = database_at(postgres_url)
    made = PostgresStore(database)
    await made.open()
    await made.close()
    connection = await asyncpg.connect(database.url)
    for text in filling(database.schema, MANY):
        await connection.execute(text)
    await connection.close()
    store = PostgresStore(database)
    await store.open()
    sent.clear()
    yield store, sent
    await store.close()


async def use_webhooks(store):
    """Call every method of the delivery port."""
    url = "https://hooks.example.com/"
    await store.set_endpoints([Endpoint(url)])
    await store.adopt_endpoints()
    await succeed(store, (await started(store)).id)
    claim = DeliveryClaim(
        worker=WORKER,
        webhooks=(url,),
        callbacks=True,
        limit=5,
        lease_until=NOW + DAY,
        now=NOW + 1000 * DAY,
        room=5,
        rooms={},
    )
    [delivery] = await store.lease_deliveries(claim)
    await store.change_delivery(
        delivery.id, lambda found, health: delivery_rules.release(found, health, run=delivery.run)
    )
    await store.change_endpoint(url, lambda health: delivery_rules.after_failure(health, now=NOW))
    await store.overdue_deliveries(NOW)
    await store.get_delivery(delivery.id)
    await store.deliveries_of(delivery.operation)
    for query in (DeliveryQuery(), DeliveryQuery(statuses=(delivery.status,))):
        await store.list_deliveries(query)
    await store.unhealthy_endpoints()


async def use_overview(store):
    """Call every method of the page's port."""
    overview = PostgresOverview(store.database)
    await overview.open()
    await overview.overview(now=NOW, since=NOW - timedelta(minutes=1), bucket=timedelta(seconds=1))
    await overview.held()
    await overview.changed_by_anyone(NOW)
    await overview.close()


async def test_no_statement_looks_at_all_finished_operations(full):
    """Each table is reached by an index with a condition, or read in the order of one that is short or cut off."""
    store, sent = full
    await use_everything(store)
    for status in Status:
        await brought_to(store, status)
    await use_webhooks(store)
    await use_overview(store)
    # What names no table of ours is the driver's, which looks types up once for each connection.
    ours = f"{store.database.schema}."
    asked = {text: given for text, given in sent.items() if ours in text and not CONTROL.match(text)}
    assert len(asked) > 40, "the spy has gone deaf"
    connection = await connect(store.database)
    bad = []
    for text, given in asked.items():
        found = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {text}", *given)
        bad += [(problem, text) for problem in problems(json.loads(found)[0]["Plan"], limited=False)]
    await connection.close()
    assert not bad


def problems(plan, *, limited):
    """Return the nodes of a plan that read more than they need."""
    kind, table, index = plan["Node Type"], plan.get("Relation Name"), plan.get("Index Name", "")
    limited = limited or kind == "Limit"
    found = []
    if table in LARGE and kind == "Seq Scan":
        found.append(f"reads all of {table}")
    bounded = "Index Cond" in plan or SMALL.fullmatch(index) or (limited and index in PAGED)
    if "Index" in kind and not bounded and table in LARGE | {None}:  # endpoints and webhooks are a few rows
        found.append(f"reads all of {index}")
    for below in plan.get("Plans", ()):
        found += problems(below, limited=limited)
    return found


@pytest.mark.parametrize(
    ("text", "bounded"),
    [
        ("SELECT id FROM {0}.operations WHERE kind = 'x'", False),
        ("SELECT id FROM {0}.operations WHERE id = 'x'", True),
        ("SELECT id FROM {0}.operations ORDER BY id DESC LIMIT 50", True),
        ("SELECT id FROM {0}.operations ORDER BY id DESC", False),
        ("SELECT count(*) FROM {0}.events", False),
        ("SELECT id FROM {0}.operations WHERE status = 'queued' ORDER BY priority DESC, run_at, id LIMIT 5", True),
    ],
)
async def test_a_plan_that_looks_at_everything_is_found_out(full, text, *, bounded):
    """The check above can fail."""
    store, _ = full
    connection = await connect(store.database)
    found = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {text.format(store.database.schema)}")
    await connection.close()
    assert (not problems(json.loads(found)[0]["Plan"], limited=False)) is bounded
