"""Writes a batch of units in one transaction, with a number of statements that does not depend on how many there are.

Records of running operations stay known between transactions. They are exact as long as no other connection has
committed, which SQLite tells (``PRAGMA data_version``): so the outcome of a run is written without reading its row.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from raincheck.core import transitions
from raincheck.core.errors import RaincheckError, StoreUnavailable
from raincheck.core.moments import milliseconds
from raincheck.ports import Accepted, KeyConflict, Replayed, Tombstone
from raincheck.stores.sqlite.many_rows import write_rows
from raincheck.stores.sqlite.opening import newest_schema, schema_version
from raincheck.stores.sqlite.page import Page, json_rows
from raincheck.stores.sqlite.queries import statement
from raincheck.stores.sqlite.rows import (
    FULL_COLUMNS,
    asks_nothing_special,
    insert_values,
    operation_from,
    queued_values,
)
from raincheck.stores.sqlite.units import Alter, Submit, Work

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from raincheck.core.dispatch_rules import Terms
    from raincheck.core.endpoints import Endpoint
    from raincheck.core.operation import Operation
    from raincheck.core.transitions import Change
    from raincheck.ports import Claim
    from raincheck.stores.sqlite.units import Unit

    Key = tuple[str, str, str | None]

INSERT = statement("insert_operations")
INSERT_QUEUED = statement("insert_queued")
KEYS = statement("taken_keys")
WAITING = statement("waiting")
_OUTDATED = (
    "A newer release of raincheck has changed the operation store; this process can only read it now. Restart it with "
    "the newer release."
)
_GET = f"SELECT {FULL_COLUMNS} FROM operations WHERE id = ?"  # noqa: S608 - constant columns


class Ledger:
    """Belongs to the writer's thread and is the only one that writes with its connection.

    :param endpoints: tells who hears of every operation.
    :param terms: tells those of the engine, if there is one.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        endpoints: Callable[[], Sequence[Endpoint]],
        terms: Callable[[], Terms | None],
    ) -> None:
        self._connection = connection
        self._endpoints = endpoints
        self._terms = terms
        self._held: dict[str, Operation] = {}
        self._data_version = -1
        self._schema = newest_schema()

    def write(self, units: Sequence[Unit]) -> None:
        """Write all units, or none: what is raised concerns the batch. A unit that the rules refuse has its error."""
        submits = [unit for unit in units if isinstance(unit, Submit)]
        if len(submits) == len(units) and all(_plain(unit) for unit in submits):
            self._known()
            self._insert(submits)  # one statement is a transaction
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            page = Page(self._connection, self._known(), self._endpoints(), self._terms())
            if submits:
                self._accept(submits, page)
            _alter([unit for unit in units if isinstance(unit, Alter)], page)
            for unit in units:
                if isinstance(unit, Work):
                    _work(unit, page)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        for operation_id, record in page.remembered.items():
            if record is None:
                self._held.pop(operation_id, None)
            else:
                self._held[operation_id] = record

    def _known(self) -> dict[str, Operation]:
        """Return the records of running operations, none if somebody else may have changed them.

        :raises StoreUnavailable: somebody else was a newer release that has changed the schema.
        """
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._data_version:
            if schema_version(self._connection) > self._schema:
                raise StoreUnavailable(_OUTDATED, retry_after=5)
            self._data_version = version
            self._held.clear()
        return self._held

    # --- submits ----------------------------------------------------------------------------------------------

    def _accept(self, submits: Sequence[Submit], page: Page) -> None:
        fresh = self._without_taken_keys(submits)
        if fresh:
            self._insert(self._leased(fresh))
            for unit in fresh:
                if unit.result.begun is not None:
                    page.remember(unit.result.begun)
                    unit.changes = (page.tell(unit.changes[0]),)
            page.flush()

    def _insert(self, submits: Sequence[Submit]) -> None:
        for unit in submits:
            if not unit.changes:
                unit.result, unit.changes = Accepted(unit.operation), (transitions.accept(unit.operation),)
        fresh, terms = [unit.changes[0].operation for unit in submits], self._terms()
        if terms is None and all(map(asks_nothing_special, fresh)):
            write_rows(self._connection, INSERT_QUEUED, list(map(queued_values, fresh)))
        else:
            write_rows(self._connection, INSERT, [insert_values(operation, terms) for operation in fresh])

    def _leased(self, submits: Sequence[Submit]) -> Sequence[Submit]:
        """Lease what may start at once; nobody who waits is overtaken, in the database or in this batch."""
        waiting: set[tuple[str, str]] = set()
        looked: dict[object, bool] = {}
        for unit in submits:
            operation, claim = unit.operation, unit.claim
            if claim is None:
                waiting.add((operation.kind, operation.queue))
                continue
            wish = (claim.kinds, claim.queues)
            if wish not in looked:
                looked[wish] = self._waits(claim)
            if looked[wish] or any(_wants(claim, *each) for each in waiting):
                waiting.add((operation.kind, operation.queue))
                continue
            change = transitions.accept_and_claim(
                operation, worker=claim.worker, lease_until=claim.lease_until, now=claim.now
            )
            begun = change.operation if change.operation is not operation else None
            unit.result, unit.changes = Accepted(operation, begun), (change,)
        return submits

    def _waits(self, claim: Claim) -> bool:
        return bool(self._connection.execute(WAITING, claim_parameters(claim)).fetchone()[0])

    def _without_taken_keys(self, submits: Sequence[Submit]) -> list[Submit]:
        keys = [_key(unit.operation) for unit in submits if unit.operation.idempotency_key is not None]
        if not keys:
            return list(submits)
        taken: dict[Key, Operation | Tombstone] = {}
        for owner, kind, key, operation_id, reason in json_rows(self._connection, KEYS, (json.dumps(keys),)):
            if reason is None:
                row = self._connection.execute(_GET, (operation_id,)).fetchone()
                taken[owner, kind, key] = operation_from(row)
            else:
                taken[owner, kind, key] = Tombstone(operation_id, owner, reason)
        fresh = []
        for unit in submits:
            if unit.operation.idempotency_key is None:
                fresh.append(unit)
                continue
            earlier = taken.setdefault(_key(unit.operation), unit.operation)
            if earlier is unit.operation:
                fresh.append(unit)
            else:
                unit.result = _repeated(earlier, unit.operation)
        return fresh


def _plain(unit: Submit) -> bool:
    return unit.claim is None and unit.operation.idempotency_key is None


def _key(operation: Operation) -> Key:
    return operation.owner, operation.kind, operation.idempotency_key


def _repeated(earlier: Operation | Tombstone, operation: Operation) -> Replayed | KeyConflict | Tombstone:
    if isinstance(earlier, Tombstone):
        return earlier
    if earlier.fingerprint == operation.fingerprint:
        return Replayed(earlier)
    return KeyConflict(earlier)


def _wants(claim: Claim, kind: str, queue: str) -> bool:
    return kind in claim.kinds and (claim.queues is None or queue in claim.queues)


def claim_parameters(claim: Claim) -> dict[str, object]:
    """Return what the queries of queued work take."""
    return {
        "now": milliseconds(claim.now),
        "set_back": milliseconds(claim.now + transitions.CLOCK_TOLERANCE),
        "kinds": json.dumps(claim.kinds),
        "queues": None if claim.queues is None else json.dumps(claim.queues),
        "limit": claim.limit,
        "ids": None if claim.ids is None else json.dumps(claim.ids),
    }


# --- transitions and the rest -----------------------------------------------------------------------------------


def _alter(units: Sequence[Alter], page: Page) -> None:
    if not units:
        return
    page.load({unit.operation_id for unit in units})
    for unit in units:
        try:
            unit.result, unit.changes = _applied(unit, page)
        except Exception as error:  # noqa: BLE001 - a refusal, or a bug that must reach its caller and no other
            unit.error = error
    page.flush()


def _applied(unit: Alter, page: Page) -> tuple[Operation, Sequence[Change]]:
    record = page.record(unit.operation_id)
    change = unit.transition(record)
    if change is None or change.empty:
        return record, ()
    return change.operation, (page.put(change),)


def _work(unit: Work, page: Page) -> None:
    try:
        unit.result, unit.changes = unit.apply(page)
    except (RaincheckError, KeyError) as error:
        unit.error = error
    page.flush()
