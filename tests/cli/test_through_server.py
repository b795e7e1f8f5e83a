"""The commands that speak to a server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import tests.client.conftest
from tests.readers.serving import PATIENCE, Server

HOME = Path(tests.client.conftest.__file__).parent
NOBODY = "op_" + "0" * 32


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that is left alone."""
    started = Server(tmp_path_factory.mktemp("cli"), home=HOME)
    yield started
    started.kill()


@pytest.fixture
def name():
    """A caller, and a signal, that no other test uses."""
    return f"n{uuid.uuid4().hex}"


@pytest.fixture
def remote(raincheck, server, name, monkeypatch):
    """Run a command against the server, as a caller whom nobody was before."""
    monkeypatch.setenv("RAINCHECK_URL", f"http://127.0.0.1:{server.port}")
    return lambda *arguments: raincheck(*arguments, "--header", f"X-Caller: {name}")


def lines(result):
    """Return the JSON lines that a command printed."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_run_prints_the_result_and_nothing_else_on_stdout(remote):
    """The result can be piped on; what happened in between goes to stderr."""
    result = remote("run", "/reports", "--data", '{"pages": 2}', "--metadata", "customer=42")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"pages": 2, "title": "é🌧\u2028"}
    assert "INFO     page 1" in result.stderr
    assert '{"page": 2}' in result.stderr
    assert "build_report succeeded" in result.stderr


def test_run_as_json_prints_each_event(remote):
    """One event a line, from the acceptance to done, whose resource has the result."""
    events = lines(remote("run", "/reports", "-d", '{"pages": 1}', "--json"))
    assert [each["version"] for each in events] == sorted({each["version"] for each in events})
    assert (events[0]["type"], events[-1]["type"]) == ("status", "done")
    assert events[-1]["resource"]["result"]["pages"] == 1


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_run_reads_its_body_from_elsewhere(server, name, tmp_path, source):
    """``@file`` and ``-``; the result goes to a file."""
    (tmp_path / "body.json").write_text('{"pages": 3}')
    arguments = ["run", "/reports", "-d", "@body.json" if source == "file" else "-", "-o", "out.json"]
    with (tmp_path / "body.json").open() as body:
        ended = started(server, name, *arguments, cwd=tmp_path, stdin=body)
    _, errors = ended.communicate(timeout=PATIENCE)
    assert ended.returncode == 0, errors
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["pages"] == 3


def started(server, name, *arguments, **options):
    """Start the command line as a process of its own."""
    # A shell that runs the tests in the background lets its children ignore Ctrl-C.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heard}; from raincheck.cli import main; main()"
    command = [sys.executable, "-c", program, *arguments, "--header", f"X-Caller: {name}"]
    environment = os.environ | {"RAINCHECK_URL": f"http://127.0.0.1:{server.port}"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **pipes, **options)


def test_interrupting_run_leaves_the_operation_going(remote, server, name, tmp_path):
    """Ctrl-C ends the command with 130, says how to go on, and cancels nothing."""
    process = started(server, name, "run", f"/held/{name}", cwd=tmp_path)
    server.await_signal(f"{name}.begun-1")
    while "11" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, errors
    assert "The operation goes on: raincheck watch op_" in errors
    server.give(name)
    assert remote("watch").exit_code == 0


def test_a_result_is_an_object_with_its_media_type(remote, tmp_path):
    """As from the store: JSON as itself, or the name of the file that was written; a failure with its error."""
    operation = json.loads(remote("run", "/reports", "-d", '{"pages": 2}', "--detach", "--json").stdout)["id"]
    (found,) = lines(remote("result", operation, "--json"))
    shown = {name: found[name] for name in ("id", "status", "media_type", "encoding", "content", "file", "error")}
    assert shown == {
        "id": operation,
        "status": "succeeded",
        "media_type": "application/json",
        "encoding": "json",
        "content": {"pages": 2, "title": "é🌧\u2028"},
        "file": None,
        "error": None,
    }
    file = tmp_path / "report.json"
    (saved,) = lines(remote("result", operation, "--json", "-o", file))
    assert (saved["file"], saved["size"], saved["content"]) == (str(file), found["size"], None)
    assert json.loads(file.read_bytes()) == found["content"]
    failed = remote("run", "/fail/purpose", "--json")
    assert (failed.exit_code, failed.stderr) == (3, "")
    refused = remote("result", lines(failed)[-1]["operation"], "--json")
    (told,) = lines(refused)
    assert (refused.exit_code, refused.stderr, told["status"], told["content"]) == (3, "", "failed", None)
    assert told["error"]["title"]


def test_run_without_waiting_prints_the_id(remote, server, name):
    """``--detach``; the id is what the other commands take."""
    operation = remote("run", f"/held/{name}", "--detach").stdout.strip()
    server.await_signal(f"{name}.begun-1")
    log = remote("logs", operation)
    assert log.stdout.splitlines() == [str(number) for number in range(12)]
    server.give(name)
    assert remote("logs", "-f", operation).stdout.splitlines() == [str(number) for number in range(24)]
    assert remote("result", operation).stdout == f'"{name}"'


@pytest.mark.parametrize("manner", ["purpose", "crash"])
def test_an_operation_without_a_result_is_exit_code_3(remote, manner):
    """The reason is one line on stderr, whatever command asks for the result."""
    result = remote("run", f"/fail/{manner}")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "failed. " in result.stderr.splitlines()[-1]
    assert remote("run", f"/fail/{manner}", "--json").exit_code == 3
    operation = remote("run", f"/fail/{manner}", "--detach").stdout.strip()
    assert remote("result", operation).exit_code == 3
    assert remote("watch", operation).exit_code == 3


def test_cancel_and_retry_work_through_the_server(remote, server, name):
    """All that match, each told on a line of its own; what cannot be changed makes it exit code 1."""
    first, second = (remote("run", f"/held/{name}", "--detach").stdout.strip() for _ in range(2))
    server.await_signal(f"{name}.begun-1")
    cancelled = remote("cancel", "--all-matching", "--json")
    assert sorted(each["id"] for each in lines(cancelled)) == sorted([first, second])
    assert remote("watch", first, second).exit_code == 3
    assert remote("retry", "--all-matching").stdout == "", "cancelled ones are retried only when they are named"
    again = lines(remote("retry", "--all-matching", "--status", "cancelled", "--json"))
    assert sorted(each["rerun_of"] for each in again) == sorted([first, second])
    server.give(name)
    mixed = remote("cancel", NOBODY, first)
    assert mixed.exit_code == 1
    assert mixed.stdout == f"{first}  cancelled\n"
    assert mixed.stderr.startswith(f"error: {NOBODY}: There is no such operation")


def test_a_refusal_is_one_line_and_exit_code_1(remote):
    """What the server says of invalid input, unknown routes and unknown operations."""
    for arguments in (["run", "/reports", "-d", "{}"], ["run", "/no-such-route"], ["logs", NOBODY]):
        result = remote(*arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "/reports", "-d", "{"],
        ["run", "/reports", "-d", "@missing.json"],
        ["run", "/reports", "--metadata", "x"],
        ["run", "/reports", "--metadata", "X=1"],
        ["run", "/reports", "--timeout", "soon"],
        ["watch", "--store", "sqlite:///x.db", "--url", "http://x"],
        ["cancel"],
        ["cancel", NOBODY, "--all-matching"],
        ["cancel", NOBODY, "--kind", "k"],
        ["cancel", "--all-matching", "--status", "failed"],
        ["cancel", "--all-matching", "--owner", "ada"],
    ],
)
def test_a_wrong_argument_is_exit_code_2(remote, arguments, tmp_path, monkeypatch):
    """Nothing is sent and nothing is changed."""
    monkeypatch.chdir(tmp_path)
    result = remote(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize("url", ["", "localhost:8000"])
def test_run_needs_the_url_of_a_server(raincheck, monkeypatch, url):
    """Without one there is nowhere to submit to, and one without a scheme is none."""
    monkeypatch.setenv("RAINCHECK_URL", url)
    result = raincheck("run", "/reports")
    assert result.exit_code == 2
    assert "http" in result.stderr


def test_a_token_of_the_environment_is_sent(raincheck, monkeypatch):
    """So that no secret stands in the arguments, which other users of the machine can read."""
    from tests.client.scripted import Answer, scripted

    monkeypatch.setenv("RAINCHECK_TOKEN", "secret")
    with scripted(lambda *_: Answer(401)) as server:
        assert raincheck("logs", NOBODY, "--url", server.url).exit_code == 1
        assert server.seen[0].headers["authorization"] == "Bearer secret"


def test_ls_lists_what_the_caller_owns(remote, server, raincheck):
    """The columns are those of the store but for the owner, and other callers' operations are not there."""
    done = remote("run", "/reports", "-d", '{"pages": 1}', "--detach").stdout.strip()
    assert remote("watch", done).exit_code == 0
    [head, row] = remote("ls").stdout.splitlines()
    assert head.split() == ["ID", "KIND", "STATUS", "ATTEMPT", "PROGRESS", "AGE", "TIME"]
    assert row.split()[:4] == [done, "build_report", "succeeded", "1/1"]
    [listed] = lines(remote("ls", "--status", "succeeded,failed", "--kind", "build_report", "--json"))
    assert (listed["id"], listed["done"], "result" in listed) == (done, True, False)
    assert lines(remote("ls", "--status", "queued", "--json")) == []
    url = f"http://127.0.0.1:{server.port}"
    assert raincheck("ls", "--url", url, "--header", "X-Caller: nobody-else").stdout.split() == head.split()


def test_show_tells_what_clients_see(remote):
    """State, result and events; an unknown id is one line on stderr."""
    done = remote("run", "/reports", "-d", '{"pages": 2}', "--metadata", "customer=42", "--detach").stdout.strip()
    assert remote("watch", done).exit_code == 0
    shown = remote("show", done, "--events").stdout
    told = dict(line.split(maxsplit=1) for line in shown.splitlines() if len(line.split()) == 2)
    assert (told["id"], told["status"], told["metadata"]) == (done, "succeeded", "customer=42")
    assert '"pages": 2' in shown
    assert "run 1  log       " in shown
    assert shown.splitlines()[-1].split() == [told["version"], "run", "1", "done", "{}"]
    first, *events = lines(remote("show", done, "--events", "--json"))
    assert (first["id"], first["result"]["pages"]) == (done, 2)
    assert [each["version"] for each in events] == sorted(each["version"] for each in events)
    assert events[-1]["type"] == "done"
    unknown = remote("show", NOBODY)
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert len(unknown.stderr.splitlines()) == 1


def test_show_of_what_runs_ends_with_what_is_known(remote, server, name):
    """It does not wait for the end."""
    held = remote("run", f"/held/{name}", "--detach").stdout.strip()
    shown = remote("show", held, "--events").stdout
    assert shown.splitlines()[-1].split()[3] in {"status", "progress", "output"}
    server.give(name)
    assert remote("watch", held).exit_code == 0


def test_doctor_asks_a_server(raincheck, server):
    """Reachable, ready, in the right place, with the right credentials and the right time; nothing is created."""
    url = f"http://127.0.0.1:{server.port}"
    result = raincheck("doctor", "--url", url, "--header", "X-Caller: doctor", "--json")
    assert [(each["check"], each["level"]) for each in lines(result)] == [
        ("server", "ok"),
        ("clock", "ok"),
        ("ready", "ok"),
        ("operations", "ok"),
        ("list", "ok"),
    ]
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("path", "answer", "check", "level", "words"),
    [
        ("/health/ready", (503, "not-ready", "It starts."), "ready", "problem", "It starts."),
        ("/health/ready", (404, "", ""), "ready", "warning", "answers 404"),
        (f"/operations/{NOBODY}", (401, "", ""), "operations", "problem", "credentials"),
        (f"/operations/{NOBODY}", (404, "", ""), "operations", "problem", "no operation routes at /operations"),
        ("/operations", (404, "list-disabled", ""), "list", "warning", "no owner rule"),
        ("/operations", (403, "", ""), "list", "problem", "403"),
    ],
)
def test_doctor_says_what_is_wrong_with_a_server(raincheck, path, answer, check, level, words):
    """What, why and the next step; the exit code is 1 where something needs somebody."""
    from tests.client.scripted import Answer, scripted

    def problem(status, code, detail):
        return Answer(status, json.dumps({"type": f"urn:raincheck:problem:{code}", "detail": detail}).encode())

    def act(seen, *_):
        asked = seen.path.partition("?")[0]
        if asked == path:
            return problem(*answer)
        return problem(404, "operation-not-found", "") if NOBODY in asked else Answer(200, b"{}")

    with scripted(act) as server:
        result = raincheck("doctor", "--url", server.url, "--json")
    [finding] = [each for each in lines(result) if each["check"] == check]
    assert finding["level"] == level
    assert words in finding["message"]
    assert finding["remedy"]
    assert result.exit_code == (1 if level == "problem" else 0)


def test_doctor_says_that_a_server_cannot_be_reached(raincheck):
    """Instead of a traceback."""
    result = raincheck("doctor", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "http://127.0.0.1:9 cannot be reached" in result.stdout
    assert raincheck("doctor", "shop:rain", "--url", "http://127.0.0.1:9").exit_code == 2


def test_owners_and_two_places_are_wrong_arguments_of_ls(remote):
    """A server shows what its caller owns, and nothing else."""
    assert remote("ls", "--owner", "ada").exit_code == 2
    assert remote("ls", "--url", "http://x", "--store", "sqlite:///x.db").exit_code == 2


def test_a_shell_completes_commands_and_options():
    """What ``raincheck --install-completion`` puts into the shell's start file asks this."""
    for words, found in (("raincheck ca", "cancel"), ("raincheck ls --stat", "--status")):
        settings = {"_RAINCHECK_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        command = Path(sys.executable).with_name("raincheck")
        done = subprocess.run(
            [command], env=os.environ | settings, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert found in done.stdout.split(), done.stderr
