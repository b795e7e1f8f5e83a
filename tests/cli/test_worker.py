"""``raincheck worker`` does the work of web processes that run none."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cli.test_json import promised
from tests.cli.worker_programs import FEATURE, LOUD, WEB, Process, eventually


@pytest.fixture
def folder(tmp_path):
    """Return a folder with an application in two modules."""
    (tmp_path / "feature.py").write_text(FEATURE)
    (tmp_path / "web.py").write_text(WEB)
    return tmp_path


@pytest.fixture
def start(folder):
    """Return a function that starts ``raincheck worker`` and waits until it works."""
    started = []

    def worker(target="web:rain", *options, drain="0.1s"):
        command = (sys.executable, "-c", "from raincheck.cli import main; main()", "worker", target, *options)
        process = Process(folder, f"worker-{len(started)}", *command, RAINCHECK_WORKERS="false", RAINCHECK_DRAIN=drain)
        started.append(process)
        process.logged("working: ")
        return process

    yield worker
    for process in started:
        process.kill()


@pytest.fixture
def web(folder):
    """Return a function that calls a web process that runs no work, and gives the answer's JSON."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (sys.executable, "-m", "uvicorn", "web:app", "--port", str(port), "--log-level", "info")
    process = Process(folder, "web", *command, RAINCHECK_WORKERS="false")

    def call(method, path):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    try:
        process.logged("Uvicorn running")
        (folder / "opened").unlink()
        yield call
    finally:
        process.kill()


@pytest.fixture
def submit(web):
    """Return a function that submits an operation and gives its path."""
    return lambda path: web("POST", path)["links"]["self"]


@pytest.fixture
def reach(web):
    """Return a function that waits until an operation has a status, and gives the resource."""

    def wait_for(path, status):
        def found():
            resource = web("GET", path)
            return resource if resource["status"] == status else None

        return eventually(found, what=f"{path} {status}")

    return wait_for


def test_a_worker_finishes_what_a_web_process_accepted(start, submit, reach, folder):
    """The web process runs nothing; a worker claims what waits, inside the application's own lifespan."""
    path = submit("/double?number=21")
    worker = start()
    assert reach(path, "succeeded")["result"] == 42
    assert (folder / "opened").exists()
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert (folder / "closed").exists()


def test_the_start_is_one_line_with_store_kinds_queues_and_slots(start, folder):
    """An operator sees at once what this worker works on, workers switched on in spite of RAINCHECK_WORKERS."""
    worker = start("web:rain", "--queues", "apart,default")
    (line,) = [line for line in worker.log.read_text().splitlines() if "working: " in line]
    assert f"store {folder / 'raincheck.db'}" in line
    assert "kinds apart, double, endless, interrupted" in line
    assert "queues apart, default" in line
    assert "slots async 100" in line


@pytest.fixture
def loud(folder):
    """Let the application have an operation that logs and fails, and logging of its own."""
    with (folder / "feature.py").open("a") as feature:
        feature.write(LOUD)


@pytest.mark.usefixtures("loud")
def test_as_json_each_record_is_an_object_with_the_same_fields(start, submit, reach, folder):
    """Also where the module has set up logging of its own; programs wait for ``event``, and see whose record it is."""
    worker = start("web:rain", "--json", "--health-port", "0")
    path = submit("/double?number=4")
    reach(path, "succeeded")
    reach(submit("/loud"), "failed")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    records = [json.loads(line) for line in worker.log.read_text().splitlines()]
    assert {tuple(each) for each in records} == {tuple(promised()["worker"])}
    told = {each["event"]: each["details"] for each in records if each["event"]}
    assert list(told) == ["listening", "working", "stopping", "stopped"]
    assert told["working"]["store"] == str(folder / "raincheck.db")
    assert (told["working"]["queues"], told["working"]["pid"]) == ([], worker.process.pid)
    assert "double" in told["working"]["kinds"]
    assert told["listening"]["port"] > 0
    loud = next(each for each in records if each["message"] == "loud 1")
    assert (loud["level"], loud["logger"], loud["operation_kind"]) == ("warning", "shop", "loud")
    assert loud["operation_id"].startswith("op_")
    (caught,) = [each for each in records if each["exception"]]
    assert (caught["message"], caught["exception"].splitlines()[-1]) == ("it was", "ValueError: too loud")


def test_without_an_application_the_routers_operations_are_run(start, submit, reach):
    """A module that only has routers is enough for a worker."""
    path = submit("/double?number=4")
    start("feature")
    assert reach(path, "succeeded")["result"] == 8


def test_only_the_named_queues_are_served(start, submit, reach, web):
    """What waits in another queue goes on waiting, although it was there first."""
    other = submit("/double?number=1")
    mine = submit("/apart")
    start("web:rain", "--queues", "apart")
    reach(mine, "succeeded")
    assert web("GET", other)["status"] == "queued"


def test_sigterm_hands_running_work_to_the_next_worker(start, submit, reach):
    """The drain gives the attempt back: the second worker's run is run 2 of attempt 1."""
    first = start()
    path = submit("/interrupted")
    reach(path, "running")
    first.send(signal.SIGTERM)
    assert first.wait() == 0
    reach(path, "queued")
    start()
    assert reach(path, "succeeded")["result"] == {"run": 2, "attempt": 1}


def test_ctrl_c_twice_ends_at_once(start, submit, reach):
    """The first asks to drain, the second does not wait for it."""
    worker = start(drain="600s")
    path = submit("/endless")
    reach(path, "running")
    worker.send(signal.SIGINT)
    worker.logged("stopping: ")
    worker.send(signal.SIGINT)
    assert worker.wait() == 130


def test_an_endless_thread_does_not_hold_up_the_end(start, submit, reach):
    """A thread cannot be stopped; the worker exits all the same, and the next one sees by the lock that it is gone."""
    worker = start()
    path = submit("/endless")
    reach(path, "running")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    second = start()
    second.logged("is dead; its 1 operations are taken over")


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "message"),
    [
        (["nothing:rain"], {}, 2, "There is no module 'nothing'"),
        (["web:app"], {}, 2, "is a FastAPI, not a Raincheck object"),
        (["web:rain", "--queues", " , "], {}, 2, "--queues names no queue"),
        (["web:rain"], {"RAINCHECK_STORE": "memory:"}, 1, "no other process can reach"),
        (["web:rain"], {"RAINCHECK_STORE": "sqlite:///no/such/folder.db"}, 1, "does not exist"),
        (["web:rain"], {"RAINCHECK_DRAIN": "soon"}, 1, "RAINCHECK_DRAIN"),
        (["empty:rain"], {}, 1, "has no operations"),
    ],
)
def test_what_cannot_work_ends_with_one_line(folder, arguments, settings, code, message):
    """No traceback: what, why and the next step on stderr; 2 for a wrong argument, 1 for all else."""
    (folder / "empty.py").write_text("from raincheck import Raincheck\nrain = Raincheck()\n")
    command = (Path(sys.executable).with_name("raincheck"), "worker", *arguments)
    environment = {**os.environ, "RAINCHECK_STORE": "sqlite:///raincheck.db", **settings}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--executors", "threads"], "--executors 'threads' cannot be used"),
        (["--executors", ","], "Name some of async, thread, process"),
        (["--concurrency", "0"], "--concurrency '0' cannot be used"),
        (["--concurrency", "many"], "Write a number from 1 on"),
        (["--executors", "async", "--concurrency", "process=2"], "such as async=8"),
    ],
)
def test_executors_and_concurrency_that_cannot_be_used_are_refused(folder, arguments, message):
    """With what could be written instead."""
    command = (Path(sys.executable).with_name("raincheck"), "worker", "web:rain", *arguments)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_worker_runs_what_its_executors_are_for(start, submit, reach, web, folder):
    """Coroutines here, threads elsewhere; with as many slots as the command line says."""
    threaded = submit("/endless")
    mine = submit("/double?number=4")
    worker = start("web:rain", "--executors", "async", "--concurrency", "7")
    assert reach(mine, "succeeded")["result"] == 8
    assert web("GET", threaded)["status"] == "queued"
    (line,) = [line for line in worker.log.read_text().splitlines() if "working: " in line]
    assert line.endswith("slots async 7")
    assert "engine embedded; kinds apart, double, interrupted;" in line


def test_a_worker_of_an_engine_with_workers_of_its_own_is_refused(folder):
    """It says what to start instead."""
    (folder / "fleet.py").write_text(
        "from fastapi import FastAPI\nfrom raincheck import Raincheck\n"
        "app = FastAPI()\nrain = Raincheck(app, engine='celery')\n@rain.post('/x')\ndef x() -> int:\n    return 1\n"
    )
    command = (Path(sys.executable).with_name("raincheck"), "worker", "fleet:rain")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "celery --app fleet worker" in done.stderr


def probe(port, path):
    """Return what a worker answers: the status and the document."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def test_a_worker_answers_probes_until_it_has_drained(start, submit, reach):
    """Alive and ready while it works, alive and not ready while it drains; then the port is closed."""
    worker = start("web:rain", "--health-port", "0", drain="60s")
    port = int(re.search(r"on 127\.0\.0\.1 port (\d+)", worker.log.read_text())[1])
    assert probe(port, "/health/live") == (200, {"status": "live"})
    assert probe(port, "/health/ready") == (200, {"status": "ready"})
    path = submit("/interrupted")
    reach(path, "running")
    worker.send(signal.SIGTERM)
    worker.logged("stopping: ")
    status, problem = probe(port, "/health/ready")
    assert (status, problem["type"]) == (503, "urn:raincheck:problem:not-ready")
    assert "shutting down" in problem["detail"]
    assert probe(port, "/health/live")[0] == 200
    worker.send(signal.SIGINT)
    assert worker.wait() == 130


def test_a_worker_with_probes_ends_at_once_when_it_has_nothing_to_do(start):
    """The port adds nothing to the time that a worker takes to end, and a probe's connection holds up nobody."""
    worker = start("web:rain", "--health-port", "0")
    port = int(re.search(r"on 127\.0\.0\.1 port (\d+)", worker.log.read_text())[1])
    with socket.create_connection(("127.0.0.1", port)) as idle:
        idle.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        assert idle.recv(100).startswith(b"HTTP/1.1 200")
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_port_that_is_taken_ends_the_worker_with_one_line(folder):
    """What, why and the next step."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = (Path(sys.executable).with_name("raincheck"), "worker", "web:rain", "--health-port", port)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"port {port} cannot be listened on" in done.stderr
