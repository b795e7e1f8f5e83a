"""What docs/operating.md says of metrics is what there is."""

from __future__ import annotations

import re

import pytest

from raincheck.telemetry.measures import MEASURES, Shape
from raincheck.telemetry.prometheus import prometheus_name
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")


def row(measure):
    """Return a metric as the page's table has it."""
    suffix = "_total" if measure.shape is Shape.COUNTER else ""
    unit = "seconds" if measure.unit == "s" else f"{measure.unit.strip('{}')}s"
    labels = ", ".join(f"`{label}`" for label in measure.labels) or "none"
    name = f"`{prometheus_name(measure)}{suffix}` | `{measure.name}`"
    return f"| {name} | {measure.shape.value}, {unit} | {labels} | {measure.help} |"


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_each_metric_has_its_row(measure):
    """Names, unit, labels and meaning, as the table in the code says them."""
    assert row(measure) in PAGE.splitlines()


def test_alerts_and_text_name_only_metrics_that_exist():
    """A rule with a name that does not exist never fires."""
    known = set()
    for measure in MEASURES:
        name = prometheus_name(measure)
        known |= {name, f"{name}_total", f"{name}_bucket"}
    named = set(re.findall(r"raincheck_[a-z_]+", PAGE))
    assert len(named) > len(MEASURES) - 1
    assert named <= known
