"""The deliveries' side of the PostgreSQL store; what it does in SQL is in ``deliveries.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raincheck.stores.postgres.deliveries import DeliveryQueries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from raincheck.core.deliveries import Delivery, Health
    from raincheck.core.delivery_rules import Verdict
    from raincheck.core.endpoints import Endpoint
    from raincheck.ports import Overdue
    from raincheck.ports_deliveries import DeliveryClaim, DeliveryQuery
    from raincheck.stores.postgres.pool import Pool


class PostgresDeliveries:
    """Implements DeliveryStore for the store that brings the connections."""

    def __init__(self, *, pool: Pool, schema: str) -> None:
        self.pool = pool
        self.delivery_queries = DeliveryQueries(schema)
        self._endpoints: tuple[Endpoint, ...] = ()
        self._written: list[Callable[[], None]] = []

    def when_written(self, callback: Callable[[], None]) -> None:
        """Call back when this process has written something that others may wait for."""
        self._written.append(callback)

    def wrote(self) -> None:
        """Call those who want to know that something was written."""
        for callback in self._written:
            callback()

    async def set_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """Write deliveries for these endpoints from now on, and keep them if others were kept."""
        self._endpoints = tuple(endpoints)
        queries = self.delivery_queries
        if set(await self.pool.read(queries.kept_endpoints)) != set(self._endpoints):
            await self.pool.write(lambda connection: queries.keep_endpoints(connection, endpoints))

    async def adopt_endpoints(self) -> None:
        """Write deliveries for the endpoints that were kept last."""
        self._endpoints = tuple(await self.pool.read(self.delivery_queries.kept_endpoints))

    async def lease_deliveries(self, claim: DeliveryClaim) -> list[Delivery]:
        """Lease due deliveries; a look that finds none writes nothing."""
        queries = self.delivery_queries
        ids = await self.pool.read(lambda connection: queries.due(connection, claim))
        if not ids:
            return []
        return await self.pool.write(lambda connection: queries.lease(connection, ids, claim))

    async def change_delivery(
        self,
        delivery_id: str,
        transition: Callable[[Delivery, Health], Verdict | None],
    ) -> Verdict:
        """Apply a transition to a delivery and its URL's health as they are now."""
        queries = self.delivery_queries
        verdict = await self.pool.write(lambda connection: queries.change(connection, delivery_id, transition))
        self.wrote()
        return verdict

    async def change_endpoint(self, url: str, transition: Callable[[Health], Health]) -> Health:
        """Apply a transition to the health of a URL as it is now."""
        queries = self.delivery_queries
        health = await self.pool.write(lambda connection: queries.change_endpoint(connection, url, transition))
        self.wrote()
        return health

    async def overdue_deliveries(self, now: datetime, *, limit: int = 500) -> Overdue:
        """Return leases that ran out, and what each courier holds."""
        queries = self.delivery_queries
        return await self.pool.read(lambda connection: queries.overdue(connection, now, limit))

    async def get_delivery(self, delivery_id: str) -> Delivery | None:
        """Return a delivery."""
        return await self.pool.read(lambda connection: self.delivery_queries.get(connection, delivery_id))

    async def deliveries_of(self, operation_id: str) -> list[Delivery]:
        """Return an operation's deliveries, oldest first."""
        return await self.pool.read(lambda connection: self.delivery_queries.of_operation(connection, operation_id))

    async def list_deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        """Return a page of the log, newest first."""
        return await self.pool.read(lambda connection: self.delivery_queries.list_page(connection, query))

    async def unhealthy_endpoints(self) -> list[Health]:
        """Return the health of every URL that failed last."""
        return await self.pool.read(self.delivery_queries.unhealthy)
