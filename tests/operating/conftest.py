"""OpenTelemetry as an application sets it up, for one test."""

from __future__ import annotations

import opentelemetry.metrics._internal as meters
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.contract.receiver import Receiver


@pytest.fixture
def spans(monkeypatch):
    """Trace, and keep what is traced. The API sets its provider once a process, so not through its own function."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def figures(monkeypatch):
    """Measure, and keep what is measured."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(meters, "_METER_PROVIDER", provider)
    yield reader
    provider.shutdown()


@pytest.fixture
def receiver():
    """A receiver of webhooks."""
    made = Receiver()
    yield made
    made.close()
