"""The ports of webhooks: what the courier needs from stores, and who sends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from raincheck.core.deliveries import Attempt, Delivery, DeliveryStatus, Health, Message
    from raincheck.core.delivery_rules import Verdict
    from raincheck.core.endpoints import Endpoint
    from raincheck.ports import Overdue


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryClaim:
    """A courier's wish for due deliveries.

    :param webhooks: the configured URLs that it has secrets for; others wait for a process that has.
    :param callbacks: whether it may call the URLs of callers.
    :param room: how many it takes for each receiver (scheme, host and port) that ``rooms`` does not name.
    :param rooms: how many it takes for others, 0 or more.
    """

    worker: str
    webhooks: tuple[str, ...]
    callbacks: bool
    limit: int
    lease_until: datetime
    now: datetime
    room: int = 10
    rooms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryQuery:
    """A page of the delivery log, newest first."""

    statuses: tuple[DeliveryStatus, ...] = ()
    url: str | None = None
    before_id: str | None = None
    limit: int = 50


class DeliveryStore(Protocol):
    """Webhook deliveries, kept beside the operations they tell of.

    1. Every write of a change, whoever makes it, also writes the deliveries that ``with_deliveries`` makes of it for
       the endpoints that were set: in the same transaction, and listeners get them with the change.
    2. A new ``operation.progress`` takes the place of the operation's others for the same URL and source that nobody
       is sending, and keeps the due time of one that still waits; an end takes the place of waiting progress.
    3. ``lease_deliveries`` gives a due delivery to one courier only, as ``delivery_rules.lease`` says: for each
       receiver no more than it has room for, whatever waits at the others, and among receivers the longest due first.
    4. ``change_delivery`` holds the rows of the delivery and of its URL's health, calls the transition (pure) and
       writes both; what it raises reaches the caller and nothing is written. An unknown id raises ``KeyError``.
    5. An endpoint that becomes disabled pauses its pending deliveries, and new ones begin paused; enabled again, they
       are pending and due.
    6. Deleting or pruning an operation takes its deliveries along, also those under way.
    7. ``set_endpoints`` also keeps the endpoints with the data; ``adopt_endpoints`` takes those that were kept last, so
       that a command which cancels an operation without the application's configuration makes its deliveries too.
    """

    async def set_endpoints(self, endpoints: Sequence[Endpoint]) -> None: ...

    async def adopt_endpoints(self) -> None: ...

    async def lease_deliveries(self, claim: DeliveryClaim) -> list[Delivery]: ...

    async def change_delivery(
        self,
        delivery_id: str,
        transition: Callable[[Delivery, Health], Verdict | None],
    ) -> Verdict: ...

    async def change_endpoint(self, url: str, transition: Callable[[Health], Health]) -> Health: ...

    async def overdue_deliveries(self, now: datetime, *, limit: int = 500) -> Overdue:
        """Return leases that ran out, and what each courier holds; ``deadlines`` is empty."""
        ...

    async def get_delivery(self, delivery_id: str) -> Delivery | None: ...

    async def deliveries_of(self, operation_id: str) -> list[Delivery]:
        """Return an operation's deliveries, oldest first."""
        ...

    async def list_deliveries(self, query: DeliveryQuery) -> list[Delivery]: ...

    async def unhealthy_endpoints(self) -> list[Health]:
        """Return the health of every URL that failed last, by URL."""
        ...


class Deliverer(Protocol):
    """Sends webhooks.

    1. ``send`` makes one attempt, signed, to an address that was judged and then connected to; it never follows a
       redirect and never raises for what the URL, the network or the receiver did.
    2. One attempt takes at most 15 seconds and keeps at most 64 KiB of the answer, whatever the receiver does.
    """

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, message: Message) -> Attempt: ...
