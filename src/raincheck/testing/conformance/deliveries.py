"""The promises of DeliveryStore: written with the event, leased once, settled with the health of the endpoint."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from raincheck.core import transitions
from raincheck.core.deliveries import DeliveryStatus
from raincheck.core.endpoints import Endpoint, WebhookType
from raincheck.testing.conformance.specimens import (
    NOW,
    started,
    submitted,
    succeed,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

from raincheck.testing.conformance.deliveries_leased import LeasedDeliveryConformance
from raincheck.testing.conformance.deliveries_written import WrittenDeliveryConformance
from raincheck.testing.conformance.delivery_specimens import (
    OTHER,
    URL,
    DeliveringStore,
    a_delivery,
    a_delivery_claim,
)


class DeliveryConformance(WrittenDeliveryConformance, LeasedDeliveryConformance):
    """Everything that any delivery store promises. Provide ``store``: a fixture with an open, empty store."""


class DurableDeliveryConformance:
    """For stores that outlive the process; ``reopen`` as for ``DurableStoreConformance``."""

    pytestmark = pytest.mark.anyio

    @pytest.mark.parametrize("status", list(DeliveryStatus))
    async def test_a_delivery_survives_a_restart(
        self, reopen: Callable[[], Awaitable[DeliveringStore]], status: DeliveryStatus
    ) -> None:
        """In every status, with its log and the health of its endpoint."""
        store = await reopen()
        before = await a_delivery(store, status=status)
        health = await store.unhealthy_endpoints()
        store = await reopen()
        assert await store.get_delivery(before.id) == before
        assert await store.unhealthy_endpoints() == health

    async def test_a_command_without_configuration_adopts_the_endpoints(
        self, reopen: Callable[[], Awaitable[DeliveringStore]]
    ) -> None:
        """Those of the application that was started last, and none where it has none any more."""
        store = await reopen()
        await store.set_endpoints([Endpoint(URL), Endpoint(OTHER, (WebhookType.CANCELLED,))])
        waiting, other = await submitted(store), await submitted(store)
        store = await reopen()
        await store.change(other.id, partial(transitions.request_cancel, now=NOW))
        assert await store.deliveries_of(other.id) == []
        await store.adopt_endpoints()
        await store.change(waiting.id, partial(transitions.request_cancel, now=NOW))
        assert {each.url for each in await store.deliveries_of(waiting.id)} == {URL, OTHER}
        await store.set_endpoints([])
        store = await reopen()
        await store.adopt_endpoints()
        running = await started(store)
        await succeed(store, running.id)
        assert await store.deliveries_of(running.id) == []


class SharedDeliveryConformance:
    """For stores that several processes may open at once; ``stores`` as for ``SharedStoreConformance``."""

    pytestmark = pytest.mark.anyio

    async def test_couriers_of_two_processes_get_disjoint_deliveries(
        self, stores: tuple[DeliveringStore, DeliveringStore]
    ) -> None:
        """Every delivery is sent, none twice."""
        wanted = {(await a_delivery(stores[0], url=f"https://r{number}.example.com/")).id for number in range(40)}
        claims = [
            stores[number % 2].lease_deliveries(a_delivery_claim(worker=f"worker-{number}", limit=4))
            for number in range(20)
        ]
        taken = [each.id for found in await asyncio.gather(*claims) for each in found]
        assert len(taken) == len(set(taken))
        while rest := await stores[1].lease_deliveries(a_delivery_claim()):
            taken += [each.id for each in rest]
        assert len(taken) == 40
        assert set(taken) == wanted
