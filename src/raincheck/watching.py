"""What watches one process: traces and figures, as far as the application has set them up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from raincheck.core.errors import ConfigurationError
from raincheck.telemetry.instruments import Instruments
from raincheck.telemetry.telemetry import Telemetry
from raincheck.telemetry.tracing import find_tracing, provided

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from raincheck.roles.census import Census
    from raincheck.telemetry.instruments import Reading, Sink
    from raincheck.telemetry.prometheus import PrometheusFigures

_MISSING = "Raincheck(metrics=…) needs prometheus-client. Install it with: pip install 'raincheck[prometheus]'"


class Watching:
    """Finds out who watches when the application starts, and gives them what they read.

    ``census`` is set once there is a store to count in.

    :param prometheus: whether metrics are served to Prometheus.
    """

    def __init__(self, *, prometheus: bool) -> None:
        self.census: Census | None = None
        self._prometheus = _prometheus() if prometheus else None
        meter = _find_meter(self._read)
        self.periodic = meter is not None
        sinks: list[Sink] = [sink for sink in (self._prometheus, meter) if sink is not None]
        self.telemetry = Telemetry(tracing=find_tracing(), instruments=Instruments(sinks))

    @property
    def exposes(self) -> bool:
        """Whether Prometheus may ask."""
        return self._prometheus is not None

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in a format that a scraper accepts, and its media type."""
        assert self._prometheus is not None
        assert self.census is not None
        gauges = await self.census.take()
        return await run_in_threadpool(self._prometheus.render, gauges, accept=accept)

    def _read(self) -> Iterable[Reading]:
        return () if self.census is None else self.census.latest


def check_prometheus() -> None:
    """Refuse metrics without their package, where they are configured and not at the first scrape.

    :raises ConfigurationError: the extra is not installed.
    """
    _prometheus_module()


def _prometheus() -> PrometheusFigures:
    return _prometheus_module()()


def _prometheus_module() -> type[PrometheusFigures]:
    try:
        from raincheck.telemetry.prometheus import PrometheusFigures  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(_MISSING) from error
    return PrometheusFigures


def _find_meter(read: Callable[[], Iterable[Reading]]) -> Sink | None:
    """Return the sink of OpenTelemetry's meter, where the application has set one up."""
    if not provided("metrics"):
        return None
    from raincheck.telemetry.otel_metrics import OtelFigures  # noqa: PLC0415 - an extra

    return OtelFigures.of_application(read=read)
