"""Taskiq keeps the promises of Engine, whatever its broker is."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

import pytest

from raincheck.engines.taskiq import engine_for
from raincheck.testing.conformance import EngineConformance, FragileEngineConformance
from tests.engines.brokers import BROKERS, Broker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from raincheck.ports_engines import Engine

pytestmark = pytest.mark.anyio
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module", params=BROKERS.values())
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Provide a broker."""
    if request.param.missing():
        pytest.skip(request.param.missing())
    made = request.param()
    yield made
    made.close()


@pytest.fixture
async def make(broker: Broker) -> Callable[[], Engine]:
    """Make engines with topics that nobody has used."""
    prefix = f"test-{next(_NUMBERS)}"
    return lambda: engine_for(broker.url, prefix=prefix)


class TestEngine(EngineConformance):
    """All that any engine promises."""


class TestFragileEngine(FragileEngineConformance):
    """A broker that died and came back."""

    @pytest.fixture
    def outage(self, broker: Broker) -> Callable[[], contextlib.AbstractAsyncContextManager[None]]:
        """Kill the broker, and start it again."""

        @contextlib.asynccontextmanager
        async def away() -> AsyncIterator[None]:
            broker.stop()
            try:
                yield
            finally:
                broker.start()

        return away
