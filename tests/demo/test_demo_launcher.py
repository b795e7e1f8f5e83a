"""The launcher: it serves in the foreground, ends cleanly, and what it accepted survives it."""

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from raincheck.demo import launcher
from tests.cli.test_json import promised
from tests.demo.running_demo import PATIENCE, ROOT, RunningDemo

FOREVER = {"iterations": 20_000, "width": 8192, "height": 8192, "center": [-0.2, 0.0], "span": 0.1}


def submit(client, path, **keywords):
    answer = client.post(path, **keywords)
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"]


def wait_until(client, location, condition):
    """Long-poll until the operation meets the condition."""
    deadline, version = time.monotonic() + PATIENCE, 0
    while time.monotonic() < deadline:
        operation = client.get(location, params={"wait": 5, "after": version}).json()
        if condition(operation):
            return operation
        assert not operation["done"], operation
        version = operation["version"]
    raise AssertionError(f"still {operation}")


@pytest.fixture
def client_of():
    clients = []

    def client_of(demo):
        clients.append(httpx2.Client(base_url=demo.url, timeout=PATIENCE))
        return clients[-1]

    yield client_of
    for client in clients:
        client.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_ends_cleanly_while_work_is_running(start, client_of, number):
    """Ctrl-C in the middle of everything: status 0, no traceback, though the work would take minutes."""
    demo = start()
    client = client_of(demo)
    wait_until(client, submit(client, "/fractals", json=FOREVER), lambda operation: operation["progress"])
    submit(client, "/forecasts", json={})
    assert demo.end(number) == 0, demo.said
    assert "Traceback" not in demo.said


def test_as_json_it_says_where_everything_is(data):
    """One object on stdout once it serves, and nothing else: what explains the wait goes to stderr."""
    settings = {"DEMO_DATA": str(data)}
    command = [Path(sys.executable).with_name("raincheck"), "demo", "--port", "0", "--json"]
    with subprocess.Popen(
        command, env=os.environ | settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as demo:
        try:
            places = json.loads(demo.stdout.readline())
            assert list(places) == promised()["demo"]
            assert (places["pid"], places["data"]) == (demo.pid, str(data))
            assert Path(places["orders"]).is_file()
            for place in ("url", "dashboard", "docs"):
                assert httpx2.get(places[place], timeout=PATIENCE, follow_redirects=True).status_code == 200
            demo.terminate()
            assert demo.stdout.read() == b""
            assert demo.wait(timeout=20) == 0
        finally:
            demo.kill()


def test_a_taken_port_is_one_sentence(start):
    """The launcher says which port is taken and what to do, before it makes any data."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        demo = start(port=taken.getsockname()[1])
        demo.wait_for(r"Port \d+ cannot be used \(Address already in use\)\. Try: raincheck demo --port \d+")
        assert demo.process.wait(timeout=20) == 1


def test_a_taken_port_of_the_receiver_is_one_sentence(start):
    """The port after the demo's is for webhooks; the remedy is a command that can be pasted."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        demo = start(receiver_port=port)
        demo.wait_for(rf"Port {port} cannot be used \(.*\)\. Try: raincheck demo --port \d+ --receiver-port \d+")
        assert demo.process.wait(timeout=20) == 1


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    """The launcher names the folder and how to name another."""
    file = tmp_path / "file"
    file.touch()
    demo = RunningDemo(file / "data")
    demo.wait_for(rf"{file}/data cannot be written \(Not a directory\).*--data")
    assert demo.process.wait(timeout=20) == 1
    demo.kill_all()


def test_remedies_are_commands_of_whoever_started_it(monkeypatch):
    """Under make, options are variables of make."""
    monkeypatch.delenv("MAKELEVEL", raising=False)
    assert launcher._command(9, 11) == "raincheck demo --port 9 --receiver-port 11"
    monkeypatch.setenv("MAKELEVEL", "1")
    assert launcher._command(9, 11) == 'make demo PORT=9 ARGS="--receiver-port 11"'
    assert launcher._command(9) == "make demo PORT=9"


def test_a_killed_import_continues_after_a_restart(start, client_of, data):
    """SIGKILL loses nothing that was accepted: the next start finishes the import, from where it was."""
    demo = start()
    client = client_of(demo)
    with (data / "orders.csv").open("rb") as file:
        location = submit(client, "/imports", files={"file": ("orders.csv", file, "text/csv")})
    wait_until(client, location, lambda operation: operation["progress"])
    demo.kill_all()
    client = client_of(start())
    operation = wait_until(client, location, lambda operation: operation["done"])
    assert operation["status"] == "succeeded"
    assert operation["result"]["rows"] == 20_000
    (webhook,) = client.get("/arrived", params={"operation": operation["id"]}).json()
    assert (webhook["type"], webhook["times"]) == ("operation.succeeded", 1)


def test_each_way_gives_its_result(shared_demo, client_of):
    """All four routes do their work and replay its real answer."""
    client = client_of(shared_demo)
    export = client.get("/orders.csv").content
    imported = client.post("/imports", files={"file": export}, headers={"Prefer": "wait=60"})
    assert (imported.status_code, imported.json()["rows"]) == (200, 20_000)
    forecasts = client.post("/forecasts", json={"cities": ["Oslo", "Rome"]}, headers={"Prefer": "wait=60"})
    assert [forecast["city"] for forecast in forecasts.json()["forecasts"]] == ["Oslo", "Rome"]
    report, fractal = submit(client, "/reports", json={}), submit(client, "/fractals", json={"width": 256})
    for location, magic, media_type in (
        (report, b"%PDF", "application/pdf"),
        (fractal, b"\x89PNG", "image/png"),
    ):
        result = client.get(f"{location}/result", headers={"Prefer": "wait=60"})
        assert (result.status_code, result.headers["Content-Type"]) == (200, media_type), result.text
        assert result.content.startswith(magic)


def test_a_cancelled_fractal_stops(shared_demo, client_of):
    """The process ends and the operation says so."""
    client = client_of(shared_demo)
    location = submit(client, "/fractals", json=FOREVER)
    wait_until(client, location, lambda operation: operation["progress"])
    assert client.post(f"{location}/cancel").status_code == 202
    assert wait_until(client, location, lambda operation: operation["done"])["status"] == "cancelled"


def test_the_page_is_self_contained(shared_demo, client_of):
    """The page needs nothing from elsewhere, and writes no data as HTML."""
    page = client_of(shared_demo).get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "https://" not in page.text
    assert "innerHTML" not in page.text


def test_ctrl_c_in_a_terminal_ends_make_with_status_0(data, tmp_path):
    """make reports an interrupt as an error, unless its recipe takes the terminal as a shell's job would."""
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"demo:\n\t@cd {ROOT} && {Path(sys.executable).parent}/raincheck demo --port 0\n")
    environment = {**os.environ, "DEMO_DATA": str(data)}
    controller, terminal = pty.openpty()
    make = subprocess.Popen(
        ["setsid", "--ctty", "--wait", "make", "-f", str(makefile), "demo"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment,
    )
    os.close(terminal)
    said = read_until(controller, b"Ctrl-C ends")
    os.write(controller, b"\x03")
    said += read_until(controller, None)
    os.close(controller)
    assert make.wait(timeout=20) == 0, said.decode()
    assert b"Traceback" not in said
    assert b"Error" not in said


def read_until(terminal, words):
    """Return what the terminal shows, up to some words or the end."""
    said, deadline = b"", time.monotonic() + PATIENCE
    while words is None or words not in said:
        assert select.select([terminal], [], [], deadline - time.monotonic())[0], said.decode()
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # EIO: the last process of the terminal has ended
            break
        if not chunk:
            break
        said += chunk
    return said
