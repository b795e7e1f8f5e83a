"""docs/first-hour.md as a newcomer types it: the demo, an application of one's own, a kill in the middle."""

import shutil
import subprocess
import time

import pytest

from tests.docs.pages import ROOT, Ids, blocks, session
from tests.docs.running import SHOWN, Running, Server, free_port, terminal, wait_until_running

PAGE = ROOT / "docs" / "first-hour.md"
INSTALL = ["python3 -m venv .venv && . .venv/bin/activate", "pip install '.[demo]'"]
A_MOMENT = 20.0  # seconds that a reader may take to look again
LOOKS = ("raincheck ls", "raincheck show", "raincheck watch")
SHOWN_PROCESS = "4711"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash"),
]


@pytest.fixture(scope="module")
def sessions():
    """The page's sessions in their order."""
    return [session(block) for block in blocks(PAGE, "console")]


@pytest.fixture
def start(tmp_path):
    """Start servers in one folder; what is left of them ends with the test."""
    started = []

    def begin(kind, *arguments, **options):
        started.append(kind(*arguments, tmp_path, **options))
        return started[-1]

    yield begin
    for each in started:
        each.kill()


def typed(step, folder, ids, *, url, process=""):
    """Type a command and compare; one that only looks is typed again while what it shows is still on its way."""
    command = ids.filled(step.command).replace(SHOWN, url).replace(SHOWN_PROCESS, process or SHOWN_PROCESS)
    if command.startswith("raincheck"):
        command += " 2>&1"  # what fails is told on stderr
    deadline = time.monotonic() + (A_MOMENT if command.startswith(LOOKS) else 0)
    environment = terminal() | {"RAINCHECK_URL": url, "COLUMNS": "200"}
    while True:
        ran = subprocess.run(
            ["bash", "-c", command],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
            cwd=folder,
        )
        try:
            ids.assert_matches(step.expected, ran.stdout.replace(url, SHOWN))
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        else:
            return


def test_the_demo_gives_a_first_operation(sessions, start, tmp_path):
    """Installed, started, asked with curl; the page lists the operation."""
    begin, ask, *_ = sessions
    assert [step.command for step in begin] == [*INSTALL, "raincheck demo"]
    port, receiver = free_port(), free_port()
    command = f"{begin[-1].command} --port {port} --receiver-port {receiver}"
    demo = start(Running, command, ready="Ctrl-C ends the demo")
    url = f"http://127.0.0.1:{port}"
    ids = Ids()
    ids.assert_matches(begin[-1].expected, demo.printed.replace(url, SHOWN))
    for step in ask:
        typed(step, tmp_path, ids, url=url)
    listed = subprocess.run(
        ["curl", "-s", f"{url}/dashboard/api/operations"], check=True, capture_output=True, text=True, env=terminal()
    )
    assert '"kind": "tales", "status": "succeeded"' in listed.stdout


def test_an_application_of_ones_own_survives_a_kill(sessions, start, tmp_path):
    """Typed in, run, killed in the middle, taken over, cancelled, examined."""
    _, _, serve, use, break_it, after = sessions
    (program,) = blocks(PAGE, "python")
    name, _, _ = program.text.partition("\n")
    (tmp_path / name.removeprefix("# ")).write_text(program.text, encoding="utf-8")
    assert [step.command for step in serve] == ["uvicorn hour:app"]
    assert [step.command for step in use[:2]] == [". .venv/bin/activate", f"export RAINCHECK_URL={SHOWN}"]
    server = start(Server, serve[0].command)
    ids = Ids()
    for step in use[2:]:
        typed(step, tmp_path, ids, url=server.url)
    assert [step.command.split()[0] for step in break_it] == ["raincheck", "kill", "raincheck"]
    for step in break_it:
        typed(step, tmp_path, ids, url=server.url, process=str(server.process.pid))
        if "--detach" in step.command:
            wait_until_running(server, f"/operations/{ids.filled(step.expected)}")
    server.process.wait(timeout=20)
    again = start(Server, serve[0].command, port=server.port)
    for step in after:
        typed(step, tmp_path, ids, url=again.url)
