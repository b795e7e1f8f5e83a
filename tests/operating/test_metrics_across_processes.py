"""Several processes on one port, and a worker beside them: what one scrape says."""

from __future__ import annotations

import re
import signal

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.docs.running import PATIENCE, Running, Server, finished

SHOP = """
from fastapi import FastAPI
from raincheck import Raincheck

app = FastAPI()
rain = Raincheck(app, metrics=lambda: None)

@rain.post("/double")
async def double(number: int) -> int:
    return 2 * number
"""


def scraped(url):
    """Scrape over a connection of its own, which any of the processes may take."""
    answer = httpx2.get(f"{url}/metrics", headers={"connection": "close"}, timeout=PATIENCE, trust_env=False)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in parse(answer.text)
        for sample in family.samples
    }


@pytest.fixture
def folder(tmp_path):
    """Return a folder with an application, and one for the files of all processes."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "figures").mkdir()
    return tmp_path


def test_with_shared_files_each_process_answers_for_all(folder):
    """Two servers and a worker: whoever is asked, the figures are those of all three; the dead are forgotten."""
    common = "PROMETHEUS_MULTIPROC_DIR=figures RAINCHECK_ASYNC_SLOTS=7"
    server = Server(f"{common} uvicorn shop:app --workers 2 --no-access-log", folder)
    worker = None
    try:
        worker = Running(f"{common} raincheck worker shop:rain --health-port 0", folder, ready="working: ")
        port = int(re.search(r"on 127\.0\.0\.1 port (\d+)", worker.printed)[1])
        for number in range(6):
            headers = {"connection": "close"}
            answer = server.client.post("/double", params={"number": number}, headers=headers)
            assert finished(server, answer.headers["location"])["result"] == 2 * number
        for url in (server.url, server.url, server.url, f"http://127.0.0.1:{port}"):
            found = scraped(url)
            assert found["raincheck_operations_accepted_total", "double"] == 6
            assert found["raincheck_operations_finished_total", "", "double", "succeeded"] == 6
            assert found["raincheck_slots", "async"] == 21
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
        assert scraped(server.url)["raincheck_slots", "async"] == 14
        assert scraped(server.url)["raincheck_operations_accepted_total", "double"] == 6
    finally:
        server.terminate()  # with its two processes, which do not end with it when it is killed
        server.kill()
        if worker is not None:
            worker.kill()


def test_a_worker_is_scraped_at_its_own_port(folder):
    """Without shared files each process tells its own; a worker that accepts nothing has run what others accepted."""
    server = Server("RAINCHECK_WORKERS=false uvicorn shop:app --no-access-log", folder)
    worker = None
    try:
        worker = Running("raincheck worker shop:rain --health-port 0", folder, ready="working: ")
        port = int(re.search(r"on 127\.0\.0\.1 port (\d+)", worker.printed)[1])
        answer = server.client.post("/double", params={"number": 4})
        assert finished(server, answer.headers["location"])["result"] == 8
        served, worked = scraped(server.url), scraped(f"http://127.0.0.1:{port}")
    finally:
        server.kill()
        if worker is not None:
            worker.kill()
    assert served["raincheck_operations_accepted_total", "double"] == 1
    assert ("raincheck_operations_finished_total", "", "double", "succeeded") not in served
    assert worked["raincheck_operations_finished_total", "", "double", "succeeded"] == 1
    assert ("raincheck_operations_accepted_total", "double") not in worked
    assert served["raincheck_queue_depth", "double"] == worked["raincheck_queue_depth", "double"] == 0
