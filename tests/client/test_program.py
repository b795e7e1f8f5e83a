"""What a program sees of the client: progress, messages, and what is missing."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

import raincheck.client
from raincheck.client.display import ProgressDisplay
from raincheck.client.models import state_from
from tests.client.sides import client_of


def test_each_public_name_is_there():
    """Whatever the package lists can be imported, and nothing else."""
    assert set(raincheck.client._HOMES) == set(raincheck.client.__all__)
    for name in raincheck.client.__all__:
        assert getattr(raincheck.client, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing_such"):
        raincheck.client.nothing_such  # noqa: B018


@pytest.mark.parametrize("missing", ["httpx2", "stamina"])
def test_a_missing_extra_is_named(missing):
    """Who has installed raincheck alone reads what to install."""
    program = f"import sys\nsys.modules[{missing!r}] = None\nfrom raincheck.client import Client\n"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert f"needs {missing}, which is not installed. Run: pip install 'raincheck[client]'" in ended.stderr


def test_errors_have_names_of_their_own():
    """Nothing that a caller catches is called as something that a server's function raises."""
    assert not set(raincheck.client.__all__) & set(raincheck.__all__)


def test_the_synchronous_side_waits_for_nothing():
    """The generated side has no coroutine and no event loop in it."""
    folder = Path(raincheck.client.__file__).parent / "_sync"
    modules = list(folder.glob("*.py"))
    assert len(modules) == len(list((folder.parent / "_async").glob("*.py")))
    for module in modules:
        text = module.read_text(encoding="utf-8")
        asynchronous = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
        assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, asynchronous)]
        assert "anyio" not in text


def test_run_tells_each_update(client):
    """The callback hears rising versions up to the end, and the result comes after it."""
    heard = []
    result = client.run("/reports", json={"pages": 4}, on_update=heard.append, patience=60)
    assert (result["pages"], heard[-1].done) == (4, True)
    assert [state.version for state in heard] == sorted({state.version for state in heard})


def test_a_bar_shows_progress_and_keeps_standard_output_clean(side, server, name, capsys):
    """The bar goes to stderr."""
    with client_of(side, f"http://127.0.0.1:{server.port}", headers={"X-Caller": name}) as client:
        client.run("/reports", json={"pages": 2}, progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "build_report succeeded" in printed.err


def shown(*states):
    """Return what a terminal shows of states."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=120, color_system=None)
    with ProgressDisplay(console) as display:
        for state in states:
            display.update(a_state(**state))
    return file.getvalue()


def test_a_bar_shows_share_count_message_and_time_left():
    """What the operation tells stands beside its bar."""
    progress = {"fraction": 0.25, "current": 1, "total": 4, "unit": "pages", "message": "draw", "eta_seconds": 30.0}
    assert "25% 1/4 pages draw 30s left" in shown({"progress": progress})


def test_a_bar_shows_why_it_failed():
    """The problem's title stands where the progress was."""
    failed = {"status": "failed", "done": True, "error": {"title": "No paper", "type": "x", "detail": "tray [2]"}}
    text = shown({}, failed)
    assert "No paper: tray [2]" in text
    before, found, _ = text.rpartition("k failed")
    assert found
    assert not re.search("[\u2800-\u28ff]", before[-4:]), "something spins beside what has ended"


def test_a_bar_in_a_notebook_is_one_output_that_changes(monkeypatch):
    """HTML by IPython's own display, which needs no widgets; the last state is always shown."""
    outputs = []

    class Handle:
        def update(self, html):
            outputs[-1].append(html)

    def display(html, *, display_id):
        assert display_id is True
        outputs.append([html])
        return Handle()

    shell = ModuleType("IPython.display")
    shell.HTML, shell.display = str, display
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", shell)
    console = Console(force_jupyter=True)
    with ProgressDisplay(console) as display_of_bars:
        for fraction in (0.1, 0.2, 0.3):
            display_of_bars.update(a_state(progress={"fraction": fraction, "message": "<b>draw</b>"}))
        display_of_bars.update(a_state(status="succeeded", done=True))
    (shown_by_cell,) = outputs
    assert "10% &lt;b&gt;draw&lt;/b&gt;" in shown_by_cell[0]
    assert "k succeeded" in shown_by_cell[-1]


def a_state(**fields):
    """Return a state of an operation."""
    return state_from({"id": "op_1", "kind": "k", "status": "running", "done": False, "version": 2} | fields)


def test_text_of_others_cannot_steer_the_terminal():
    """Escape sequences and rich's markup in a message are shown as they are, harmless."""
    text = shown({"progress": {"message": "\x1b]0;owned\x07 [red]x[/red]"}})
    assert "\x1b]0;" not in text
    assert "[red]x[/red]" in text
