"""What callers and operators ask of deliveries: look, and send again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raincheck.core import delivery_rules, names
from raincheck.core.delivery_rules import Verdict
from raincheck.core.errors import DeliveryNotFound

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from raincheck.core.deliveries import Delivery, Health
    from raincheck.ports import DeliveryStore
    from raincheck.roles.service import Service


class DeliveryDesk:
    """Serves callers. An ``owner`` of None is the operator, who may see everything.

    :param woken: called when a delivery was made due, so that a courier of this process looks.
    """

    def __init__(
        self,
        *,
        store: DeliveryStore,
        service: Service,
        clock: Callable[[], datetime],
        woken: Callable[[], None],
    ) -> None:
        self._store = store
        self._service = service
        self._clock = clock
        self._woken = woken

    async def of_operation(self, operation_id: str, *, owner: str | None) -> list[Delivery]:
        """Return the deliveries of an operation that the caller owns, oldest first.

        :raises OperationNotFound: unknown, malformed, or another owner's id.
        """
        operation = await self._service.get(operation_id, owner=owner)
        return await self._store.deliveries_of(operation.id)

    async def redeliver(self, operation_id: str, delivery_id: str, *, owner: str | None) -> Delivery:
        """Make a delivery due now, with the same ``webhook-id``; one that is being sent stays so.

        :raises OperationNotFound: unknown, malformed, or another owner's operation.
        :raises DeliveryNotFound: the operation has no such delivery.
        """
        operation = await self._service.get(operation_id, owner=owner)
        found = await self._store.get_delivery(delivery_id) if names.is_delivery_id(delivery_id) else None
        if found is None or found.operation != operation.id:
            raise _not_found()

        def again(delivery: Delivery, health: Health) -> Verdict:
            return Verdict(delivery_rules.redeliver(delivery, now=self._clock()), health)

        try:
            verdict = await self._store.change_delivery(delivery_id, again)
        except KeyError:  # its operation was deleted between the look and the write
            raise _not_found() from None
        self._woken()
        return verdict.delivery


def _not_found() -> DeliveryNotFound:
    return DeliveryNotFound("The operation has no delivery with this id. Look at the operation's links.deliveries.")
