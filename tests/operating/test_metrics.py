"""The same figures through OpenTelemetry and Prometheus."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
from fastapi import FastAPI, Header, HTTPException
from fastapi.testclient import TestClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from raincheck import ConfigurationError, OperationContext, OperationFailed, Raincheck, Retry, Settings, Webhook
from raincheck.core.errors import StoreUnavailable
from raincheck.telemetry.instruments import Instruments
from raincheck.telemetry.measures import MEASURES, Shape
from raincheck.telemetry.prometheus import prometheus_name
from tests.contract.receiver import SECRET
from tests.contract.serving import PATIENCE, TICK
from tests.operating.test_tracing import QUIET, finish

_ENDS = {"delivered", "failed"}
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


async def scraper(authorization: str = Header("")) -> None:
    """Let in whoever knows the word."""
    if authorization != "Bearer word":
        raise HTTPException(401)


def anyone() -> None:
    """Let anyone in."""


def application(store="memory:", **options):
    """Return an application whose functions end in every way."""
    app = FastAPI(telemetry=QUIET)
    settings = Settings(drain="100ms", async_slots=7, thread_slots=3)
    rain = Raincheck(app, store=store, settings=settings, **options)

    @rain.post("/double")
    async def double(number: int) -> int:
        return 2 * number

    @rain.post("/twice", retry=Retry(attempts=2, backoff="0s"))
    def twice(op: OperationContext) -> str:
        if op.attempt == 1:
            raise ValueError("the first time it fails")
        return "done"

    @rain.post("/refuses")
    async def refuses(code: str) -> None:
        raise OperationFailed(code=code, title="No", status=409)

    @rain.post("/endless")
    async def endless() -> None:
        await asyncio.Event().wait()

    return app, rain


def scraped(client):
    """Return every sample of a scrape, as ``name{label=value}``."""
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    found = {}
    for family in parse(answer.text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()) if value)
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def collected(figures):
    """Return what OpenTelemetry's reader collects, as the scrape would: counts of histograms, values of the rest."""
    found = {}
    data = figures.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    labels = ",".join(f"{name}={value}" for name, value in sorted(point.attributes.items()))
                    value = point.count if hasattr(point, "count") else point.value
                    found[f"{metric.name}{{{labels}}}" if labels else metric.name] = value
    return found


def test_prometheus_reads_what_happened():
    """Each fact once: accepted, waited, run, finished, and how."""
    app, _ = application(metrics=anyone)
    with TestClient(app) as client:
        finish(client, "/double?number=1")
        finish(client, "/double?number=2")
        finish(client, "/twice")
        finish(client, "/refuses?code=unheard-of")
        found = scraped(client)
    assert found["raincheck_operations_accepted_total{kind=double}"] == 2
    assert found["raincheck_operations_finished_total{kind=double,outcome=succeeded}"] == 2
    assert found["raincheck_operations_finished_total{error=other,kind=refuses,outcome=failed}"] == 1
    assert found["raincheck_operation_queue_wait_seconds_count{kind=twice}"] == 2
    run = "raincheck_run_duration_seconds_count{executor=%s,kind=%s,outcome=%s}"
    assert found[run % ("async", "double", "succeeded")] == 2
    assert found[run % ("thread", "twice", "retrying")] == 1
    assert found[run % ("thread", "twice", "succeeded")] == 1
    assert found["raincheck_runs_active{executor=async}"] == 0
    assert found["raincheck_slots{executor=async}"] == 7
    assert found["raincheck_slots{executor=thread}"] == 3
    assert "raincheck_slots{executor=process}" not in found
    assert found["raincheck_queue_depth{kind=double}"] == 0
    assert found["raincheck_queue_oldest_age_seconds"] == 0


def test_gauges_tell_what_waits_and_what_runs(tmp_path):
    """Counted in the store: what other processes have accepted counts too."""
    app, _ = application(f"sqlite:///{tmp_path / 'operations.db'}", metrics=anyone, workers=False)
    with TestClient(app) as client:
        client.post("/double?number=1")
        client.post("/double?number=1")
        client.post("/endless", headers={"operation-delay": "60"})
        found = scraped(client)
    assert found["raincheck_queue_depth{kind=double}"] == 2
    assert found["raincheck_queue_depth{kind=endless}"] == 0
    assert found["raincheck_queue_scheduled"] == 1
    assert 0 <= found["raincheck_queue_oldest_age_seconds"] < 60
    assert found["raincheck_store_commit_writes_sum"] >= 3
    assert found["raincheck_store_commit_duration_seconds_count"] >= 1
    app, _ = application(f"sqlite:///{tmp_path / 'operations.db'}", metrics=anyone)
    with TestClient(app) as client:
        running = client.post("/endless").headers["location"]
        assert client.get(f"{running}?wait=30&after=1").json()["status"] == "running"
        deadline = time.monotonic() + PATIENCE
        while not (found := scraped(client)).get("raincheck_runs_active{executor=async}"):
            assert time.monotonic() < deadline
            time.sleep(TICK)
        assert found["raincheck_operations_running{kind=endless}"] == 1
        client.post(f"{running}/cancel")


def test_webhooks_are_timed_by_what_the_receiver_said(receiver):
    """Attempts by how they were answered, deliveries by how they ended; no URL is a label."""
    receiver.answers["/gone"] = [410]
    hooks = [Webhook(url=f"{receiver.url}/{path}", secret=SECRET, private_networks=True) for path in ("taken", "gone")]
    app, _ = application(metrics=anyone, webhooks=hooks, public_url="https://shop.example.com")
    with TestClient(app) as client:
        done = finish(client, "/double?number=1")
        deadline = time.monotonic() + PATIENCE
        while {each["status"] for each in client.get(done["links"]["deliveries"]).json()["items"]} - _ENDS:
            assert time.monotonic() < deadline
            time.sleep(TICK)
        found = scraped(client)
    assert found["raincheck_webhook_attempt_duration_seconds_count{outcome=accepted}"] == 1
    assert found["raincheck_webhook_attempt_duration_seconds_count{outcome=refused}"] == 1
    assert found["raincheck_webhook_deliveries_total{outcome=delivered}"] == 1
    assert found["raincheck_webhook_deliveries_total{outcome=failed}"] == 1


def test_the_guard_decides_who_may_scrape():
    """Behind it is the load of a company; without one there is no route."""
    app, _ = application(metrics=scraper)
    with TestClient(app) as client:
        assert client.get("/metrics").status_code == 401
        answer = client.get("/metrics", headers={"authorization": "Bearer word"})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert answer.headers["cache-control"] == "no-store"
    assert "/metrics" not in app.openapi()["paths"]
    app, _ = application()
    with TestClient(app) as client:
        assert client.get("/metrics").status_code == 404


@pytest.mark.parametrize(("accept", "parser"), [("", parse), (OPENMETRICS, parse_openmetrics)])
def test_the_exposition_is_read_by_prometheus_own_parsers(accept, parser):
    """Both formats; every metric of the table has its help, its type and its labels, and none is there besides."""
    app, _ = application(metrics=anyone)
    with TestClient(app) as client:
        finish(client, "/double?number=1")
        answer = client.get("/metrics", headers={"accept": accept})
    families = {family.name: family for family in parser(answer.text)}
    expected = {prometheus_name(measure): measure for measure in MEASURES}
    kinds = {Shape.COUNTER: "counter", Shape.HISTOGRAM: "histogram", Shape.BALANCE: "gauge", Shape.GAUGE: "gauge"}
    assert set(families) == set(expected)
    for name, measure in expected.items():
        assert families[name].type == kinds[measure.shape], name
        assert families[name].documentation == measure.help
        for sample in families[name].samples:
            assert set(sample.labels) - {"le"} == set(measure.labels), sample


def test_a_scrape_storm_counts_the_store_once_a_second(monkeypatch):
    """Ten scrapers at once are one count."""
    app, rain = application(metrics=anyone)
    asked = []
    with TestClient(app) as client:
        overview = rain._gateway.serving.overview
        count = overview.overview

        async def counted(**options):
            asked.append(options)
            return await count(**options)

        monkeypatch.setattr(overview, "overview", counted)
        for _ in range(10):
            scraped(client)
    assert len(asked) == 1


def test_while_the_store_is_away_the_figures_of_the_process_are_served(monkeypatch):
    """A gap in the gauges, and no failed scrape that would hide everything else."""
    app, rain = application(metrics=anyone)

    async def away(**_):
        raise StoreUnavailable("away")

    with TestClient(app) as client:
        finish(client, "/double?number=1")
        monkeypatch.setattr(rain._gateway.serving.overview, "overview", away)
        found = scraped(client)
    assert found["raincheck_operations_accepted_total{kind=double}"] == 1
    assert not [name for name in found if name.startswith("raincheck_queue")]


def test_without_the_package_metrics_are_refused_at_once(monkeypatch):
    """Where it is configured, and not at the first scrape."""
    import sys

    monkeypatch.setitem(sys.modules, "raincheck.telemetry.prometheus", None)
    with pytest.raises(ConfigurationError, match=re.escape("pip install 'raincheck[prometheus]'")):
        Raincheck(FastAPI(), store="memory:", metrics=anyone)


def test_opentelemetry_reads_the_same_figures(figures):
    """Names with dots, attributes with our prefix; kept by the application's own reader."""
    app, _ = application()
    with TestClient(app) as client:
        finish(client, "/double?number=1")
        finish(client, "/refuses?code=unheard-of")
        client.post("/endless", headers={"operation-delay": "60"})
        found = collected(figures)
    assert found["raincheck.operations.accepted{raincheck.kind=double}"] == 1
    failed = "raincheck.operations.finished{error.type=other,raincheck.kind=refuses,raincheck.outcome=failed}"
    assert found[failed] == 1
    assert (
        found["raincheck.run.duration{raincheck.executor=async,raincheck.kind=double,raincheck.outcome=succeeded}"] == 1
    )
    assert found["raincheck.operation.queue_wait{raincheck.kind=double}"] == 1
    assert found["raincheck.slots{raincheck.executor=async}"] == 7
    assert found["raincheck.runs.active{raincheck.executor=async}"] == 0
    assert found["raincheck.queue.depth{raincheck.kind=double}"] == 0
    assert {name.partition("{")[0] for name in found} <= {measure.name for measure in MEASURES}


def test_figures_end_with_the_application(figures):
    """Slots are given back and gauges stop; a second start counts on and warns of nothing."""
    app, _ = application()
    for number in (1, 2):
        with TestClient(app) as client:
            finish(client, "/double?number=1")
            assert collected(figures)["raincheck.slots{raincheck.executor=async}"] == 7
        found = collected(figures)
        assert found["raincheck.operations.accepted{raincheck.kind=double}"] == number
        assert found["raincheck.slots{raincheck.executor=async}"] == 0
        assert not [name for name in found if name.startswith("raincheck.queue")]


def test_labels_are_bounded_by_the_code():
    """No id, owner, URL or free text: each label is one of these."""
    assert {label for measure in MEASURES for label in measure.labels} == {"kind", "executor", "outcome", "error"}


class Full:
    """A sink that cannot keep anything, such as files on a full disk."""

    def add(self, *_):
        raise OSError(28, "No space left on device")

    record = add


def test_figures_that_cannot_be_kept_stop_no_work(caplog):
    """They are told by the thread that writes the store; one that ends leaves every request waiting for ever."""
    kept = []

    class Keeping:
        def add(self, measure, amount, labels):
            kept.append(measure.name)

        record = add

    instruments = Instruments([Full(), Keeping()])
    for _ in range(3):
        instruments.commit(0.1, 2)
        instruments.run_began("async")
    assert len(kept) == 9
    assert [record.message for record in caplog.records] == [
        "figures cannot be kept by Full, and some are missing: OSError(28, 'No space left on device')"
    ]
