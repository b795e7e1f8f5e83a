"""Figures by OpenTelemetry's API; the application's readers take them where it wants."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry import metrics
from opentelemetry.metrics import Observation

from raincheck.telemetry.measures import MEASURES, Measure, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, UpDownCounter

    from raincheck.telemetry.instruments import Reading

_ATTRIBUTES = {"error": "error.type"}


class OtelFigures:
    """Implements ``Sink`` with one meter.

    :param read: gives the gauges of the moment; readers call it from threads of their own, also after the end.
    """

    def __init__(self, meter: Meter, *, read: Callable[[], Iterable[Reading]]) -> None:
        self._counters: dict[str, Counter | UpDownCounter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._read = read
        for measure in MEASURES:
            self._make(meter, measure)

    @classmethod
    def of_application(cls, *, read: Callable[[], Iterable[Reading]]) -> OtelFigures:
        """Return the figures of the application's provider."""
        return cls(metrics.get_meter("raincheck", version("raincheck")), read=read)

    def add(self, measure: Measure, amount: float, labels: tuple[str, ...]) -> None:
        """Count."""
        self._counters[measure.name].add(amount, _attributes(measure, labels))

    def record(self, measure: Measure, value: float, labels: tuple[str, ...]) -> None:
        """Time, or size."""
        self._histograms[measure.name].record(value, _attributes(measure, labels))

    def _make(self, meter: Meter, measure: Measure) -> None:
        name, told = measure.name, {"unit": measure.unit, "description": measure.help}
        match measure.shape:
            case Shape.COUNTER:
                self._counters[name] = meter.create_counter(name, **told)
            case Shape.BALANCE:
                self._counters[name] = meter.create_up_down_counter(name, **told)
            case Shape.HISTOGRAM:
                self._histograms[name] = meter.create_histogram(
                    name, **told, explicit_bucket_boundaries_advisory=measure.buckets
                )
            case Shape.GAUGE:
                meter.create_observable_gauge(name, [partial(self._observe, measure)], **told)

    def _observe(self, measure: Measure, _options: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(value, _attributes(found, labels)) for found, labels, value in self._read() if found is measure
        ]


def _attributes(measure: Measure, labels: tuple[str, ...]) -> dict[str, str]:
    named = zip(measure.labels, labels, strict=True)
    return {_ATTRIBUTES.get(name, f"raincheck.{name}"): value for name, value in named if value}
