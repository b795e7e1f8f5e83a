"""The README's application as a newcomer uses it: typed in, started, asked with curl, killed, started again."""

import shutil
import subprocess
import time

import pytest

from tests.docs.pages import GUIDE, README, Ids, blocks, session
from tests.docs.running import SHOWN, Running, Server, finished, submit, terminal, wait_until_running

START = "uvicorn app:app"
A_MOMENT = 120.0  # seconds in which a reader looks again: computing yields to all else that the machine does


def type_in(folder):
    """Leave in a folder what the README says to type in."""
    (program,) = blocks(README, "python")
    assert program.text.startswith("# app.py\n")
    (folder / "app.py").write_text(program.text, encoding="utf-8")
    return folder


def commands(page):
    """Return the commands of a page that start the application."""
    steps = [step for block in blocks(page, "console") for step in session(block)]
    return [step.command for step in steps if "app:app" in step.command or "app:rain" in step.command]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The server of all curl lines; without workers of other tests."""
    assert commands(README) == [START]
    server = Server(START, type_in(tmp_path_factory.mktemp("newcomer")))
    yield server
    server.kill()


@pytest.fixture
def start(tmp_path):
    """Start commands in one folder; what is left of them ends with the test."""
    folder = type_in(tmp_path)
    started = []

    def begin(command, *, ready=None, port=None, **settings):
        found = Running(command, folder, ready=ready, **settings) if ready else Server(command, folder, port=port)
        started.append(found)
        return found

    yield begin
    for each in started:
        each.kill()


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")
@pytest.mark.parametrize("page", [README, GUIDE], ids=lambda page: page.stem)
def test_every_curl_line_answers_as_shown(page, server):
    """Whoever pastes the lines into a terminal sees what the page shows; ids and what ``…`` stands for aside."""
    sessions = [session(block) for block in blocks(page, "console") if "$ curl" in block.text]
    assert sessions
    ids = Ids()
    for step in [step for steps in sessions for step in steps]:
        command = ids.filled(step.command).replace(SHOWN, server.url)
        deadline = time.monotonic() + (0 if " -X " in command else A_MOMENT)
        while True:
            ran = subprocess.run(
                ["bash", "-c", command], check=False, capture_output=True, text=True, timeout=90, env=terminal()
            )
            try:
                ids.assert_matches(step.expected, ran.stdout.replace(server.url, SHOWN))
                break
            except AssertionError:
                if time.monotonic() > deadline:
                    raise


def test_an_operation_outlives_kill_9(start):
    """The server dies in the middle and is started again: the id stays valid and the operation finishes."""
    server = start(START)
    here = submit(server, below=250_000)
    wait_until_running(server, here)
    server.kill()
    again = start(START, port=server.port)
    assert not again.client.get(here).json()["done"]
    operation = finished(again, here)
    assert (operation["status"], operation["result"]) == ("succeeded", {"count": 22044, "largest": 249989})
    assert operation["attempt"] == 1  # a lost worker counts no attempt


def test_work_moves_between_workers_of_its_own(start):
    """The guide's server without workers accepts and answers; the guide's worker does the work.

    At SIGTERM it hands back what it cannot finish, at no cost of an attempt.
    """
    serving, working = commands(GUIDE)
    server = start(serving)
    here = submit(server, below=1000)
    assert server.client.get(here, params={"wait": 0.3}).json()["status"] == "queued"
    worker = start(working, ready="working:", RAINCHECK_DRAIN="0.1s")
    assert finished(server, here)["result"] == {"count": 168, "largest": 997}
    long = submit(server, below=50_000_000)
    wait_until_running(server, long)
    assert worker.terminate() == 0
    operation = server.client.get(long).json()
    assert (operation["status"], operation["attempt"]) == ("queued", 0)
    assert server.client.post(operation["links"]["cancel"]).json()["status"] == "cancelled"


def test_the_comparison_of_sessions_can_fail():
    """Placeholders match what varies and nothing else, and an id stands for one id only."""
    one, other = "op_" + "0" * 32, "op_" + "1" * 32
    shown = "op_06H0JJSAKT592B8PEAM8JJ2KVWK0SXQG"
    ids = Ids()
    ids.assert_matches(
        f'…\nlocation: {shown}\n{{"id": "{shown}", …}}', f'a\nb\nlocation: {one}\n{{"id": "{one}", 1}}\n'
    )
    assert ids.filled(f"curl /{shown}") == f"curl /{one}"
    for printed in (f'{{"id": "{other}"}}', f'{{"id": "{one}"}}\nmore', f'{{"id": "{one}"'):
        with pytest.raises(AssertionError):
            ids.assert_matches(f'{{"id": "{shown}"}}', printed)
