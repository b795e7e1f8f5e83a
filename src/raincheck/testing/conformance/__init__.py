"""The ports' promises as tests.

Subclass a suite, provide its fixture, and pytest runs every promise::

    class TestMyStore(OperationStoreConformance, DurableStoreConformance):
        @pytest.fixture
        async def store(self, anyio_backend):
            ...  # an open, empty store

The tests are asynchronous and run with AnyIO's pytest plugin: set the ``anyio_backend`` fixture to ``"asyncio"``.
"""

from __future__ import annotations

import pytest

_MODULES = ("blobs", "change", "claim", "durability", "events", "looking", "reading", "renew", "retention", "starting")
_DELIVERIES = ("deliveries", "deliveries_leased", "deliveries_written")
for _module in (*_MODULES, "engines", "outbox", "overview", "submit", "tickets", *_DELIVERIES):
    pytest.register_assert_rewrite(f"{__name__}.{_module}")  # before the imports: failures show their values

from raincheck.testing.conformance.blobs import BlobStoreConformance  # noqa: E402
from raincheck.testing.conformance.change import ChangeConformance  # noqa: E402
from raincheck.testing.conformance.claim import ClaimConformance, QueueConformance  # noqa: E402
from raincheck.testing.conformance.deliveries import (  # noqa: E402
    DeliveryConformance,
    DurableDeliveryConformance,
    SharedDeliveryConformance,
)
from raincheck.testing.conformance.durability import DurableStoreConformance, SharedStoreConformance  # noqa: E402
from raincheck.testing.conformance.engines import (  # noqa: E402
    EngineConformance,
    FragileEngineConformance,
    TransactionalEngineConformance,
)
from raincheck.testing.conformance.events import EventsConformance, ListenerConformance  # noqa: E402
from raincheck.testing.conformance.looking import LookingConformance  # noqa: E402
from raincheck.testing.conformance.outbox import OutboxConformance  # noqa: E402
from raincheck.testing.conformance.overview import OverviewConformance  # noqa: E402
from raincheck.testing.conformance.reading import ReadingConformance  # noqa: E402
from raincheck.testing.conformance.renew import ReaperConformance, RenewConformance  # noqa: E402
from raincheck.testing.conformance.retention import RetentionConformance  # noqa: E402
from raincheck.testing.conformance.specimens import Store  # noqa: E402
from raincheck.testing.conformance.starting import StartingConformance  # noqa: E402
from raincheck.testing.conformance.submit import SubmitConformance  # noqa: E402
from raincheck.testing.conformance.tickets import SharedTicketConformance, TicketConformance  # noqa: E402

__all__ = [
    "BlobStoreConformance",
    "DeliveryConformance",
    "DurableDeliveryConformance",
    "DurableStoreConformance",
    "EngineConformance",
    "FragileEngineConformance",
    "OperationStoreConformance",
    "OutboxConformance",
    "OverviewConformance",
    "SharedDeliveryConformance",
    "SharedStoreConformance",
    "SharedTicketConformance",
    "Store",
    "TicketConformance",
    "TransactionalEngineConformance",
]


class OperationStoreConformance(
    SubmitConformance,
    StartingConformance,
    ClaimConformance,
    QueueConformance,
    ChangeConformance,
    RenewConformance,
    ReaperConformance,
    ReadingConformance,
    LookingConformance,
    RetentionConformance,
    EventsConformance,
    ListenerConformance,
):
    """Everything that any operation store promises. Provide ``store``: a fixture with an open, empty store."""
