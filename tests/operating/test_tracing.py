"""Request, runs and webhooks of an operation are one trace."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
import threading
import time
from collections import defaultdict

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from raincheck import OperationContext, Raincheck, Retry, RetryLater, Settings, Webhook
from raincheck.telemetry import otel_tracing
from tests.contract.receiver import SECRET
from tests.docs.running import PATIENCE

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{CALLER}-01"


QUIET = {"tracing": False, "metrics": False, "logs": False}


def application(*, telemetry=QUIET, **options):
    """Return an application whose functions end in every way; by default without FastAPI's own spans."""
    app = FastAPI(telemetry=telemetry)
    rain = Raincheck(app, store="memory:", settings=Settings(drain="100ms"), **options)
    tracer = trace.get_tracer("shop")

    @rain.post("/thread")
    def thread() -> str:
        with tracer.start_as_current_span("own work"):
            return "done"

    @rain.post("/async")
    async def asynchronous() -> str:
        with tracer.start_as_current_span("own work"):
            return "done"

    @rain.post("/twice", retry=Retry(attempts=2, backoff="0s"))
    async def twice(op: OperationContext) -> str:
        if op.attempt == 1:
            raise ValueError("the first time it fails")
        return "done"

    @rain.post("/later")
    async def later(op: OperationContext) -> str:
        if op.run == 1:
            raise RetryLater(after=0)
        return "done"

    @rain.post("/refuses")
    async def refuses() -> str:
        raise HTTPException(404, "no such order")

    @rain.post("/long", timeout="50ms")
    async def long() -> None:
        await asyncio.Event().wait()

    @rain.post("/endless")
    async def endless() -> None:
        await asyncio.Event().wait()

    return app


def finish(client, path, **headers):
    """Submit, wait until it is done, and return the resource."""
    answer = client.post(path, headers=headers)
    assert answer.status_code == 202, answer.text
    done = client.get(f"{answer.headers['location']}?wait=30").json()
    assert done["done"], done
    return done


def named(spans):
    """Return the spans by name, in the order in which they ended."""
    found = defaultdict(list)
    for span in spans.get_finished_spans():
        found[span.name].append(span)
    return found


def number(span):
    """Return the id of a span as text."""
    return f"{span.context.span_id:016x}"


def parent(span):
    """Return the id of a span's parent as text."""
    return None if span.parent is None else f"{span.parent.span_id:016x}"


@pytest.mark.parametrize("kind", ["thread", "async"])
def test_request_run_and_webhook_are_one_trace(spans, receiver, kind):
    """The caller's trace goes through all of them, to the spans of the function and to the receiver."""
    hook = Webhook(url=f"{receiver.url}/{kind}", secret=SECRET, private_networks=True)
    with TestClient(application(webhooks=[hook], public_url="https://shop.example.com")) as client:
        finish(client, f"/{kind}", traceparent=PARENT, tracestate="vendor=1")
        (received,) = receiver.until(f"/{kind}", 1)
    name = "asynchronous" if kind == "async" else kind
    found = named(spans)
    (submit,), (run,), (own,) = found[f"submit {name}"], found[f"run {name}"], found["own work"]
    (webhook,) = found["webhook operation.succeeded"]
    assert [parent(submit), parent(run), parent(own), parent(webhook)] == [
        CALLER,
        number(submit),
        number(run),
        number(submit),
    ]
    assert {f"{span.context.trace_id:032x}" for span in (submit, run, own, webhook)} == {TRACE}
    assert run.context.trace_state.to_header() == "vendor=1"
    assert [submit.kind, run.kind, webhook.kind] == [SpanKind.PRODUCER, SpanKind.CONSUMER, SpanKind.CLIENT]
    assert received.headers["traceparent"] == f"00-{TRACE}-{number(webhook)}-01"
    assert "tracestate" not in received.headers


def test_spans_say_which_operation_and_what_became_of_it(spans, receiver):
    """Everything that an operator looks for, and nothing that is secret."""
    hook = Webhook(url=f"{receiver.url}/hook?token=secret", secret=SECRET, private_networks=True)
    with TestClient(application(webhooks=[hook], public_url="https://shop.example.com")) as client:
        done = finish(client, "/thread")
        receiver.until("/hook?token=secret", 1)
    found = named(spans)
    about = {
        "messaging.system": "raincheck",
        "messaging.destination.name": "default",
        "messaging.message.id": done["id"],
        "raincheck.operation.id": done["id"],
        "raincheck.kind": "thread",
    }
    submit, run, webhook = (
        dict(found[name][0].attributes) for name in ("submit thread", "run thread", "webhook operation.succeeded")
    )
    assert submit == about | {
        "messaging.operation.type": "send",
        "messaging.operation.name": "submit",
        "raincheck.replayed": False,
        "raincheck.run": 0,
        "raincheck.attempt": 0,
    }
    assert run == about | {
        "messaging.operation.type": "process",
        "messaging.operation.name": "run",
        "raincheck.run": 1,
        "raincheck.attempt": 1,
        "raincheck.executor": "thread",
        "raincheck.outcome": "succeeded",
    }
    assert webhook.pop("raincheck.delivery.id").startswith("msg_")
    assert webhook == {
        "http.request.method": "POST",
        "http.request.resend_count": 0,
        "http.response.status_code": 204,
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": int(receiver.url.rpartition(":")[2]),
        "raincheck.delivery.event": "operation.succeeded",
        "raincheck.operation.id": done["id"],
        "raincheck.kind": "thread",
    }


def test_each_attempt_is_a_run_of_the_same_trace_and_errors_are_in_it(spans):
    """The failed one carries the exception with its traceback."""
    with TestClient(application()) as client:
        finish(client, "/twice")
    found = named(spans)
    first, second = found["run twice"]
    assert parent(first) == parent(second) == number(found["submit twice"][0])
    assert [each.attributes["raincheck.outcome"] for each in (first, second)] == ["retrying", "succeeded"]
    assert [each.attributes["raincheck.attempt"] for each in (first, second)] == [1, 2]
    assert first.status.status_code is StatusCode.ERROR
    assert first.attributes["error.type"] == "unhandled-error"
    (event,) = first.events
    assert (event.name, event.attributes["exception.type"]) == ("exception", "ValueError")
    assert "the first time it fails" in event.attributes["exception.stacktrace"]
    assert second.status.status_code is StatusCode.UNSET
    assert second.events == ()


@pytest.mark.parametrize(
    ("path", "outcomes", "error"),
    [
        ("/refuses", ["failed"], "http-error"),
        ("/long", ["failed"], "deadline-exceeded"),
        ("/later", ["postponed", "succeeded"], None),
    ],
)
def test_how_a_run_ended_is_in_its_span(spans, path, outcomes, error):
    """Failures on purpose and time limits are errors; a wish to come back later is none."""
    with TestClient(application()) as client:
        finish(client, path)
    runs = named(spans)[f"run {path[1:]}"]
    assert [run.attributes["raincheck.outcome"] for run in runs] == outcomes
    assert runs[-1].attributes.get("error.type") == error
    assert runs[-1].status.status_code is (StatusCode.UNSET if error is None else StatusCode.ERROR)


def test_a_cancelled_run_is_no_error(spans):
    """Somebody wanted it so."""
    with TestClient(application()) as client:
        path = client.post("/endless").headers["location"]
        assert client.get(f"{path}?wait=30&after=1").json()["status"] == "running"
        client.post(f"{path}/cancel")
        assert client.get(f"{path}?wait=30").json()["status"] == "cancelled"
    (run,) = named(spans)["run endless"]
    assert run.attributes["raincheck.outcome"] == "cancelled"
    assert run.status.status_code is StatusCode.UNSET


def test_a_webhook_that_is_refused_is_an_error_and_the_next_attempt_a_span_of_its_own(spans, receiver):
    """Each attempt shows what the receiver said."""
    receiver.answers["/hook"] = [410]
    hook = Webhook(url=f"{receiver.url}/hook", secret=SECRET, private_networks=True)
    with TestClient(application(webhooks=[hook], public_url="https://shop.example.com")) as client:
        finish(client, "/async")
        receiver.until("/hook", 1)
    (attempt,) = named(spans)["webhook operation.succeeded"]
    assert attempt.status.status_code is StatusCode.ERROR
    assert attempt.attributes["error.type"] == "410"
    assert attempt.attributes["http.response.status_code"] == 410


def test_a_current_span_goes_before_the_headers(spans):
    """Where something else instruments the server, the submit is a child of its span of this request."""
    app = application()
    tracer = trace.get_tracer("server")

    @app.middleware("http")
    async def instrumented(request, call_next):
        with tracer.start_as_current_span("served"):
            return await call_next(request)

    with TestClient(app) as client:
        finish(client, "/async", traceparent=PARENT)
    found = named(spans)
    served = next(span for span in found["served"] if number(span) == parent(found["submit asynchronous"][0]))
    assert served.parent is None


@pytest.mark.skipif(importlib.util.find_spec("fastapi.telemetry") is None, reason="this FastAPI traces nothing itself")
def test_fastapis_own_spans_surround_the_submit_and_no_run(spans):
    """The request's span leads from the caller to the submit; validating the stored request again is no request."""
    app = application(telemetry={})
    with TestClient(app) as client:
        finish(client, "/async", traceparent=PARENT)
    by_number = {number(span): span for span in spans.get_finished_spans()}
    span = named(spans)["submit asynchronous"][0]
    ancestors = []
    while parent(span) != CALLER:
        span = by_number[parent(span)]
        ancestors.append(span)
    assert ancestors[-1].kind is SpanKind.SERVER
    (run,) = named(spans)["run asynchronous"]
    below = [span.name for span in by_number.values() if parent(span) == number(run)]
    assert below == ["own work"]
    assert sum(span.kind is SpanKind.SERVER for span in by_number.values() if "POST" in span.name) == 1


def test_a_repeated_key_runs_nothing_and_keeps_the_first_trace(spans):
    """The second submit is a span that names the operation of the first."""
    with TestClient(application()) as client:
        first = finish(client, "/async", **{"idempotency-key": "k"})
        again = client.post("/async", headers={"idempotency-key": "k", "traceparent": PARENT})
        assert again.json()["id"] == first["id"]
    found = named(spans)
    one, two = found["submit asynchronous"]
    assert two.attributes["raincheck.replayed"] is True
    assert two.attributes["raincheck.operation.id"] == first["id"]
    assert [parent(run) for run in found["run asynchronous"]] == [number(one)]


def test_a_retry_is_a_trace_of_its_own_with_a_link_to_the_former(spans):
    """Hours may lie between them; the link leads back."""
    with TestClient(application()) as client:
        failed = finish(client, "/refuses", traceparent=PARENT)
        retried = client.post(failed["links"]["retry"])
        assert client.get(f"{retried.headers['location']}?wait=30").json()["rerun_of"] == failed["id"]
    first, second = named(spans)["submit refuses"]
    assert first.context.trace_id != second.context.trace_id
    (link,) = second.links
    assert link.context.span_id == first.context.span_id


def test_what_is_not_sampled_is_not_traced_later(spans):
    """The caller's decision holds in every process."""
    with TestClient(application()) as client:
        finish(client, "/async", traceparent=PARENT[:-1] + "0")
    assert spans.get_finished_spans() == ()


@pytest.mark.parametrize(
    "given",
    [
        {"traceparent": "00-" + "0" * 32 + f"-{CALLER}-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"traceparent": f"ff-{TRACE}-{CALLER}-01"},
        {"traceparent": PARENT.upper()},
        {"traceparent": PARENT + "-more"},
        {"traceparent": "'; DROP TABLE operations; --"},
        {"tracestate": "vendor=1"},
    ],
    ids=lambda given: "".join(given.values())[:40],
)
def test_a_malformed_trace_begins_a_new_one(spans, given):
    """As W3C Trace Context says; the submit itself is fine."""
    with TestClient(application()) as client:
        finish(client, "/async", **given)
    found = named(spans)
    assert parent(found["submit asynchronous"][0]) is None
    assert parent(found["run asynchronous"][0]) == number(found["submit asynchronous"][0])


def test_without_a_provider_the_callers_trace_still_reaches_the_receiver(receiver):
    """Who does not trace hands on what it got (W3C Trace Context §4.2)."""
    hook = Webhook(url=f"{receiver.url}/hook", secret=SECRET, private_networks=True)
    with TestClient(application(webhooks=[hook], public_url="https://shop.example.com")) as client:
        finish(client, "/async", traceparent=PARENT)
        finish(client, "/async")
        received = receiver.until("/hook", 2)
    assert sorted(each.headers.get("traceparent", "") for each in received) == ["", PARENT]


def test_without_a_provider_nothing_of_it_is_imported():
    """Not even where all of it is installed: it costs nothing, also no time at the start."""
    program = (
        "import sys\nfrom fastapi import FastAPI\nfrom fastapi.testclient import TestClient\n"
        "from raincheck import Raincheck\napp = FastAPI()\nrain = Raincheck(app, store='memory:')\n"
        "@rain.post('/double')\nasync def double(number: int) -> int:\n    return 2 * number\n"
        "with TestClient(app) as client:\n"
        "    assert client.post('/double?number=4', headers={'Prefer': 'wait=30'}).json() == 8\n"
        "ours = ('raincheck.telemetry.otel', 'raincheck.telemetry.prometheus')\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'prometheus_client', *ours))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_collector_that_is_away_holds_up_the_end_of_a_child_for_a_moment_only(monkeypatch):
    """The SDK's own flush waits for as long as its exporter does."""
    stuck = threading.Event()

    class Provider:
        def force_flush(self):
            stuck.wait(PATIENCE)

    monkeypatch.setattr(trace, "_TRACER_PROVIDER", Provider())
    began = time.monotonic()
    otel_tracing.flush(0.05)
    assert time.monotonic() - began < PATIENCE / 2
    stuck.set()
