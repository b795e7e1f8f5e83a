"""The deliveries' side of the SQLite store; what it does in SQL is in ``deliveries.py``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

from raincheck.stores.sqlite import deliveries
from raincheck.stores.sqlite.units import Work

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from raincheck.core.deliveries import Delivery, Health
    from raincheck.core.delivery_rules import Verdict
    from raincheck.core.endpoints import Endpoint
    from raincheck.ports import Overdue
    from raincheck.ports_deliveries import DeliveryClaim, DeliveryQuery
    from raincheck.stores.sqlite.units import Unit

T = TypeVar("T")


class SqliteDeliveries(ABC):
    """Implements DeliveryStore for the store that brings the reader and the writer."""

    def __init__(self) -> None:
        self._endpoints: tuple[Endpoint, ...] = ()

    @abstractmethod
    async def _write(self, unit: Unit) -> Any: ...

    @abstractmethod
    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T: ...

    async def set_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """Write deliveries for these endpoints from now on, and keep them if others were kept."""
        self._endpoints = tuple(endpoints)
        if set(await self._read(deliveries.kept_endpoints)) != set(self._endpoints):
            await self._write(Work(apply=lambda page: deliveries.keep_endpoints(page.connection, endpoints)))

    async def adopt_endpoints(self) -> None:
        """Write deliveries for the endpoints that were kept last."""
        self._endpoints = tuple(await self._read(deliveries.kept_endpoints))

    async def lease_deliveries(self, claim: DeliveryClaim) -> list[Delivery]:
        """Lease due deliveries; a look that finds none takes no write lock."""
        ids = await self._read(lambda connection: deliveries.due(connection, claim))
        if not ids:
            return []
        leased: list[Delivery] = await self._write(
            Work(apply=lambda page: deliveries.lease(page.connection, ids, claim))
        )
        return leased

    async def change_delivery(
        self,
        delivery_id: str,
        transition: Callable[[Delivery, Health], Verdict | None],
    ) -> Verdict:
        """Apply a transition to a delivery and its URL's health as they are now."""
        verdict: Verdict = await self._write(
            Work(apply=lambda page: deliveries.change(page.connection, delivery_id, transition)),
        )
        return verdict

    async def change_endpoint(self, url: str, transition: Callable[[Health], Health]) -> Health:
        """Apply a transition to the health of a URL as it is now."""
        health: Health = await self._write(
            Work(apply=lambda page: deliveries.change_endpoint(page.connection, url, transition)),
        )
        return health

    async def overdue_deliveries(self, now: datetime, *, limit: int = 500) -> Overdue:
        """Return leases that ran out, and what each courier holds."""
        return await self._read(lambda connection: deliveries.overdue(connection, now, limit))

    async def get_delivery(self, delivery_id: str) -> Delivery | None:
        """Return a delivery."""
        return await self._read(lambda connection: deliveries.get(connection, delivery_id))

    async def deliveries_of(self, operation_id: str) -> list[Delivery]:
        """Return an operation's deliveries, oldest first."""
        return await self._read(lambda connection: deliveries.of_operation(connection, operation_id))

    async def list_deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        """Return a page of the log, newest first."""
        return await self._read(lambda connection: deliveries.list_page(connection, query))

    async def unhealthy_endpoints(self) -> list[Health]:
        """Return the health of every URL that failed last."""
        return await self._read(deliveries.unhealthy)
