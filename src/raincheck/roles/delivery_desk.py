"""What callers and operators ask of deliveries: look, send again, enable an endpoint, try one out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raincheck.core import delivery_rules, names
from raincheck.core.deliveries import Health
from raincheck.core.delivery_rules import Verdict
from raincheck.core.errors import DeliveryNotFound, EndpointNotFound
from raincheck.core.webhook_body import trial_message
from raincheck.ports_deliveries import DeliveryQuery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from raincheck.core.deliveries import Attempt, Delivery, Message
    from raincheck.core.endpoints import Webhook, WebhookPolicy
    from raincheck.ports_deliveries import DeliveryStore
    from raincheck.roles.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """A URL that webhooks go to, for the operator.

    :param webhook: its configuration in this process; None for callers' URLs, and for those of other releases.
    :param newest: the newest delivery of a configured endpoint.
    """

    url: str
    health: Health
    webhook: Webhook | None = None
    newest: Delivery | None = None


class DeliveryDesk:
    """Serves callers. An ``owner`` of None is the operator, who may see everything.

    :param woken: called when a delivery was made due, so that a courier of this process looks.
    :param send: makes one attempt, for endpoints that are tried out.
    :param named: gives a new id for what is sent to try one out.
    """

    def __init__(
        self,
        *,
        store: DeliveryStore,
        service: Service,
        clock: Callable[[], datetime],
        woken: Callable[[], None],
        policy: WebhookPolicy,
        send: Callable[[Message], Awaitable[Attempt]],
        named: Callable[[], str],
    ) -> None:
        self._store = store
        self._policy = policy
        self._send = send
        self._named = named
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

    # --- for operators alone ------------------------------------------------------------------------------------

    @property
    def policy(self) -> WebhookPolicy:
        """What is configured in this process."""
        return self._policy

    async def endpoints(self) -> list[EndpointState]:
        """Return the configured endpoints, then every other URL that failed last."""
        health = {each.url: each for each in await self._store.unhealthy_endpoints()}
        found = []
        for webhook in self._policy.webhooks:
            newest = await self._store.list_deliveries(DeliveryQuery(url=webhook.url, limit=1))
            found.append(
                EndpointState(
                    url=webhook.url,
                    health=health.pop(webhook.url, Health(url=webhook.url)),
                    webhook=webhook,
                    newest=newest[0] if newest else None,
                )
            )
        return [*found, *(EndpointState(url=url, health=each) for url, each in health.items())]

    async def log(self, query: DeliveryQuery) -> list[Delivery]:
        """Return a page of all deliveries, newest first."""
        return await self._store.list_deliveries(query)

    async def enable(self, url: str) -> None:
        """Enable an endpoint that was disabled because it failed for days; what was paused is sent.

        :raises EndpointNotFound: it is not disabled.
        """
        was_disabled = []

        def enabled(health: Health) -> Health:
            was_disabled.append(health.disabled)
            return Health(url=health.url) if health.disabled else health

        await self._store.change_endpoint(url, enabled)
        if not was_disabled[-1]:
            detail = "No endpoint with this URL is disabled. Somebody else may have enabled it."
            raise EndpointNotFound(detail)
        self._woken()

    async def try_out(self, url: str) -> Attempt:
        """Send a signed test message to a configured endpoint, once, and return what it answered.

        :raises EndpointNotFound: this process has no such webhook.
        """
        webhook = next((each for each in self._policy.webhooks if each.url == url), None)
        if webhook is None:
            detail = "Only endpoints of Raincheck(webhooks=…) can be tried out; this process has none with this URL."
            raise EndpointNotFound(detail)
        return await self._send(trial_message(webhook, message_id=self._named(), now=self._clock()))


def _not_found() -> DeliveryNotFound:
    return DeliveryNotFound("The operation has no delivery with this id. Look at the operation's links.deliveries.")
