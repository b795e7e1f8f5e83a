"""One transaction's view of the operations: read in one step, changed in memory, written in one step.

SQLite releases Python's global lock for every step of a statement, and the writer thread then waits until the busy
event loop gives it back. So the number of steps bounds the rate, and here it does not grow with the number of units.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from raincheck.core.delivery_rules import with_deliveries
from raincheck.stores.sqlite import deliveries
from raincheck.stores.sqlite.many_rows import write_rows
from raincheck.stores.sqlite.queries import statement
from raincheck.stores.sqlite.rows import LIGHT_COLUMNS, event_values, operation_from, update_values

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from raincheck.core.deliveries import Delivery
    from raincheck.core.dispatch_rules import Terms
    from raincheck.core.endpoints import Endpoint
    from raincheck.core.events import Event
    from raincheck.core.operation import Operation
    from raincheck.core.transitions import Change

SELECT_RECORDS = (
    f"SELECT json_group_array(json_array({LIGHT_COLUMNS})) FROM operations "  # noqa: S608 - constant columns
    "WHERE id IN (SELECT value FROM json_each(?))"
)
UPDATE = statement("update_operations")
INSERT_EVENTS = statement("insert_events")


class Page:
    """What the units of one transaction read and write.

    :param held: records that are known to equal their rows, since nobody else has written meanwhile.
    :param endpoints: who hears of every operation.
    :param terms: those of the engine that is told what is queued.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        held: Mapping[str, Operation],
        endpoints: Sequence[Endpoint],
        terms: Terms | None = None,
    ) -> None:
        self.connection = connection
        self.remembered: dict[str, Operation | None] = {}
        self._held = held
        self._records: dict[str, Operation] = {}
        self._touched: dict[str, Operation] = {}
        self._events: list[Event] = []
        self._endpoints = endpoints
        self._terms = terms
        self._deliveries: list[Delivery] = []

    def load(self, operation_ids: Iterable[str]) -> None:
        """Read the records that are not known yet, in one step."""
        unknown = []
        for operation_id in operation_ids:
            record = self._held.get(operation_id)
            if record is None:
                unknown.append(operation_id)
            else:
                self._records[operation_id] = record
        if unknown:
            for row in json_rows(self.connection, SELECT_RECORDS, (json.dumps(unknown),)):
                self._records[row[0]] = operation_from(row)

    def record(self, operation_id: str) -> Operation:
        """Return a loaded record with what this transaction has done to it.

        :raises KeyError: there is none.
        """
        return self._records[operation_id]

    def put(self, change: Change) -> Change:
        """Write a change: the one place where row and events of an operation that exists are written.

        Returns it with the webhooks that it makes.
        """
        operation = change.operation
        self._records[operation.id] = self._touched[operation.id] = operation
        self._events += change.events
        self.remember(operation)
        return self.tell(change)

    def tell(self, change: Change) -> Change:
        """Write the webhooks that a change makes, and return it with them."""
        told = with_deliveries(change, self._endpoints)
        self._deliveries += told.deliveries
        return told

    def remember(self, operation: Operation) -> None:
        """Keep the record of a running operation for the next transaction."""
        self.remembered[operation.id] = operation if operation.status.held else None

    def forget(self, operation_ids: Collection[str]) -> None:
        """Read these anew next time: their rows were written in another way."""
        self.remembered |= dict.fromkeys(operation_ids)

    def flush(self) -> None:
        """Bring what was put into the database: one step for the rows, one for their events, few for webhooks."""
        if self._touched:
            write_rows(self.connection, UPDATE, [update_values(each, self._terms) for each in self._touched.values()])
            self._touched.clear()
        if self._events:
            write_rows(self.connection, INSERT_EVENTS, [event_values(each) for each in self._events])
            self._events.clear()
        if self._deliveries:
            deliveries.insert(self.connection, self._deliveries)
            self._deliveries.clear()


def json_rows(connection: sqlite3.Connection, query: str, parameters: Any) -> list[list[Any]]:
    """Return the rows of a query that gives all of them as one JSON array, so that it takes one step."""
    found: list[list[Any]] = json.loads(connection.execute(query, parameters).fetchone()[0])
    return found
