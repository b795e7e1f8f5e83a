"""Figures as Prometheus reads them, in a registry of their own.

With ``PROMETHEUS_MULTIPROC_DIR`` the client keeps the figures of all processes of a machine in files, and whichever
process is asked answers for all: what `uvicorn --workers` needs, since a scrape reaches one of them by chance.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from raincheck.telemetry.measures import MEASURES, Measure, Shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from raincheck.telemetry.instruments import Reading

_PREFIX = "raincheck_"


class PrometheusFigures:
    """Implements ``Sink``, and renders what it keeps."""

    def __init__(self) -> None:
        self._folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        self._registry = CollectorRegistry()
        self._metrics: dict[str, Any] = {
            measure.name: self._made(measure) for measure in MEASURES if measure.shape is not Shape.GAUGE
        }
        self._children: dict[tuple[str, tuple[str, ...]], Any] = {}

    def add(self, measure: Measure, amount: float, labels: tuple[str, ...]) -> None:
        """Count."""
        self._child(measure, labels).inc(amount)

    def record(self, measure: Measure, value: float, labels: tuple[str, ...]) -> None:
        """Time, or size."""
        self._child(measure, labels).observe(value)

    def render(self, readings: Sequence[Reading], *, accept: str) -> tuple[bytes, str]:
        """Return the exposition and its media type: what the scraper accepts, by default the text format 0.0.4.

        It may read files; call it off the event loop.
        """
        registry = CollectorRegistry()
        registry.register(_Families([*map(_without_birthdays, self._collected()), *_gauges(readings)]))
        encode, media_type = choose_encoder(accept)
        return encode(registry), media_type

    def _made(self, measure: Measure) -> Counter | Gauge | Histogram:
        about: dict[str, Any] = {
            "name": prometheus_name(measure),
            "documentation": measure.help,
            "labelnames": measure.labels,
        }
        match measure.shape:
            case Shape.COUNTER:
                return Counter(**about, registry=self._registry)
            case Shape.HISTOGRAM:
                return Histogram(**about, registry=self._registry, buckets=measure.buckets)
        return Gauge(**about, registry=self._registry, multiprocess_mode="livesum")

    def _child(self, measure: Measure, labels: tuple[str, ...]) -> Any:
        """Return the series of some labels; looking them up by ourselves takes a third of the time of ``labels()``."""
        key = (measure.name, labels)
        child = self._children.get(key)
        if child is None:
            metric = self._metrics[measure.name]
            child = self._children[key] = metric.labels(*labels) if labels else metric
        return child

    def _collected(self) -> Iterator[Metric]:
        if self._folder is None:
            yield from self._registry.collect()
            return
        _forget_dead(Path(self._folder))
        # The folder also holds what the application counts with the same client.
        collector: Any = MultiProcessCollector(CollectorRegistry(), self._folder)  # type: ignore[no-untyped-call]
        for family in collector.collect():
            if family.name.startswith(_PREFIX):
                yield family


def _without_birthdays(family: Metric) -> Metric:
    """Drop when each series began: as many series again, of use only to those who lack a time-series database."""
    family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
    return family


def prometheus_name(measure: Measure) -> str:
    """Return the name of a metric as Prometheus wants it: underscores, and the unit in words (counters: no suffix)."""
    name = measure.name.replace(".", "_")
    return f"{name}_seconds" if measure.unit == "s" else name


class _Families:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _gauges(readings: Iterable[Reading]) -> list[Metric]:
    families: dict[str, GaugeMetricFamily] = {}
    for measure, labels, value in readings:
        name = prometheus_name(measure)
        family = families.get(name)
        if family is None:
            family = families[name] = GaugeMetricFamily(name, measure.help, labels=measure.labels)
        family.add_metric(labels, value)
    return list(families.values())


def _forget_dead(folder: Path) -> None:
    """Drop the balances of processes that were killed, whose runs would be counted for ever."""
    for file in folder.glob("gauge_live*_*.db"):
        text = file.stem.rpartition("_")[2]
        if text.isdigit() and not _lives(int(text)):
            mark_process_dead(int(text), str(folder))  # type: ignore[no-untyped-call]


def _lives(pid: int) -> bool:
    with contextlib.suppress(PermissionError):  # it lives, as somebody else's
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
