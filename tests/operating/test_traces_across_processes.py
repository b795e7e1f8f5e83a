"""A web process accepts, a worker runs in a child process: still one trace."""

from __future__ import annotations

import json

import pytest

from tests.contract.receiver import SECRET
from tests.docs.running import Running, Server

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
SHOP = """
import contextlib, json, os
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from raincheck import Raincheck, Webhook

def line(span):
    parent = span.parent and f"{span.parent.span_id:016x}"
    told = [span.name, f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}", parent, os.getpid()]
    return json.dumps(told) + "\\n"

provider = TracerProvider()
exporter = ConsoleSpanExporter(out=open("spans.jsonl", "a"), formatter=line)
# Only what flushes sends anything within the time of this test.
provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=600_000))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("shop")

@contextlib.asynccontextmanager
async def lifespan(app):
    yield
    provider.force_flush()

app = FastAPI(telemetry={"tracing": False}, lifespan=lifespan)
hook = Webhook(url=os.environ["HOOK"], secret=os.environ["SECRET"], private_networks=True)
rain = Raincheck(app, webhooks=[hook], public_url="https://shop.example.com")

@rain.post("/primes", executor="process")
def primes(below: int) -> int:
    with tracer.start_as_current_span("sieve"):
        return sum(all(n % d for d in range(2, n)) for n in range(2, below))
"""


@pytest.fixture
def traced(tmp_path, receiver):
    """Run a web process and a worker until a test has submitted; return the spans that they have sent."""
    (tmp_path / "shop.py").write_text(SHOP)
    settings = {"HOOK": f"{receiver.url}/hook", "SECRET": SECRET, "RAINCHECK_WORKERS": "false"}
    variables = " ".join(f"{name}={value}" for name, value in settings.items())

    def run(path):
        web = Server(f"{variables} uvicorn shop:app --no-access-log", tmp_path)
        worker = None
        try:
            answer = web.client.post(path, headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
            assert answer.status_code == 202, answer.text
            worker = Running(f"{variables} raincheck worker shop:rain", tmp_path, ready="working: ")
            assert web.client.get(answer.headers["location"], params={"wait": 60}).json()["done"]
            receiver.until("/hook", 1)
            assert (web.terminate(), worker.terminate()) == (-15, 0), (web.printed, worker.printed)
        finally:
            web.kill()
            if worker is not None:
                worker.kill()
        assert "started threads" not in worker.printed
        lines = (tmp_path / "spans.jsonl").read_text().splitlines()
        spans = {name: rest for name, *rest in map(json.loads, lines)}
        assert len(spans) == len(lines), lines
        return spans

    return run


def test_a_child_of_a_worker_goes_on_with_the_callers_trace(traced):
    """Three processes, four spans; what the function traced was sent before its process ended."""
    spans = traced("/primes?below=100")
    submit, run, sieve = spans["submit primes"], spans["run primes"], spans["sieve"]
    webhook = spans["webhook operation.succeeded"]
    assert {each[0] for each in spans.values()} == {TRACE}
    assert [submit[2], run[2], sieve[2], webhook[2]] == [CALLER, submit[1], run[1], submit[1]]
    assert len({submit[3], run[3], sieve[3]}) == 3
    assert webhook[3] == run[3]
