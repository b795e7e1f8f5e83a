"""``--json`` of every command: the fields that docs/cli.md promises, on stdout alone; errors as JSON on stderr."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from raincheck import __version__
from raincheck.cli import app
from raincheck.core import transitions
from raincheck.core.deliveries import Health
from raincheck.core.operation import Status, StoredResult
from raincheck.stores.blobs import LocalBlobs
from raincheck.stores.sqlite.store import side_folder
from raincheck.testing.conformance.delivery_specimens import URL, a_delivery
from raincheck.testing.conformance.specimens import NOW, brought_to, started

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
NOBODY = "op_" + "0" * 32
# Commands that print nothing which a program could read, each with the reason. There is none.
WITHOUT_JSON: dict[str, str] = {}


@pytest.fixture(autouse=True)
def _no_server(monkeypatch):
    """No server is named."""
    monkeypatch.delenv("RAINCHECK_URL", raising=False)


def commands(group, prefix=""):
    """Give the name and the command of each leaf of the command tree."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


COMMANDS = dict(commands(typer.main.get_command(app)))


def promised():
    """Return the rows of the table: command, and the fields of its objects where the row lists nothing else."""
    section = PAGE.read_text(encoding="utf-8").split("\n## JSON\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)
    return {command: re.findall(r"`(\w+)`", fields) for command, _, fields in rows}


def document(result):
    """Return the one object that a command printed."""
    (line,) = result.stdout.splitlines()
    return json.loads(line)


def test_the_tree_is_walked():
    """A walk that finds nothing proves nothing: the leaves of the root and those of a group are there."""
    assert {"demo", "worker", "migrate-store", "version", "webhooks ls"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_json(name):
    """Scripts need no other way to read what a command says."""
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert ("--json" in options) != (name in WITHOUT_JSON)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_with_an_example(name, raincheck):
    """What it does, each option with a word, and a line to begin with that names the command itself."""
    command = COMMANDS[name]
    assert command.help
    assert all(parameter.help for parameter in command.params if parameter.name != "help")
    assert command.epilog.startswith(f"Example: raincheck {name}")
    assert raincheck(*name.split(), "--help").exit_code == 0


def test_the_page_says_what_each_command_prints():
    """The table has a row for each command, and none for a command that is not there."""
    assert set(promised()) == set(COMMANDS) - set(WITHOUT_JSON)


def test_versions_are_one_object(raincheck):
    """With the fields of the page; ``--version`` says the same in words."""
    found = document(raincheck("version", "--json"))
    assert list(found) == promised()["version"]
    assert (found["raincheck"], found["python"]) == (__version__, ".".join(map(str, sys.version_info[:3])))
    assert raincheck("--version").stdout == raincheck("version").stdout
    assert f"raincheck {__version__} " in raincheck("--version").stdout


def test_keeping_the_store_prints_one_object(raincheck, path):
    """``migrate`` makes the file, ``prune`` finds nothing in it, ``doctor`` looks at it."""
    assert list(document(raincheck("migrate", "--json"))) == promised()["migrate"]
    assert list(document(raincheck("prune", "--json"))) == promised()["prune"]
    findings = [json.loads(line) for line in raincheck("doctor", "--json").stdout.splitlines()]
    assert {tuple(finding) for finding in findings} == {tuple(promised()["doctor"])}


def test_deliveries_and_endpoints_have_the_fields_of_the_page(raincheck, fill):
    """In the list and after a change."""

    async def work(store):
        delivery = await a_delivery(store)
        health = Health(url=URL, failing_since=NOW, last_failed_at=NOW, disabled_at=NOW, reason="it was gone")
        await store.change_endpoint(URL, lambda _: health)
        return delivery.id

    delivery = fill(work)
    endpoint, fields = promised()["webhooks endpoints"], promised()["webhooks ls"]
    assert list(document(raincheck("webhooks", "ls", "--json"))) == fields
    assert list(document(raincheck("webhooks", "endpoints", "--json"))) == endpoint
    assert list(document(raincheck("webhooks", "redeliver", delivery, "--json"))) == fields
    assert list(document(raincheck("webhooks", "enable", URL, "--json"))) == endpoint


# --- results ----------------------------------------------------------------------------------------------------


@pytest.fixture
def succeeded(fill, path):
    """Return a function that makes an operation with a result, kept in the record or as a file."""

    def make(content, media_type, *, kept_as="body"):
        async def work(store):
            operation = await started(store)
            result = StoredResult(media_type=media_type, body=content, size=len(content), etag="e")
            if kept_as == "file":

                async def chunks():
                    yield content

                name = f"{operation.id}/1/result"
                await LocalBlobs(side_folder(path) / "blobs").put(name, chunks())
                result = replace(result, body=None, blob=name)
            await store.change(operation.id, lambda found: transitions.succeed(found, run=1, result=result, now=NOW))
            return operation.id

        return fill(work)

    return make


@pytest.mark.parametrize("kept_as", ["body", "file"])
@pytest.mark.parametrize(
    ("content", "media_type", "encoding", "shown"),
    [
        (b'{"pages":3}', "application/json", "json", {"pages": 3}),
        (b"null", "application/problem+json", "json", None),
        ("Öl\n".encode(), "text/plain; charset=utf-8", "text", "Öl\n"),
        (b"\x00\xff", "image/png", "base64", "AP8="),
        (b"", None, "text", ""),
    ],
)
def test_a_result_is_one_object(raincheck, succeeded, content, media_type, encoding, shown, kept_as):
    """JSON as itself, text as text, other bytes as base64: ``encoding`` says which."""
    operation = succeeded(content, media_type, kept_as=kept_as)
    found = document(raincheck("result", operation, "--json"))
    assert list(found) == promised()["result"]
    assert found == {
        "id": operation,
        "status": "succeeded",
        "media_type": media_type,
        "size": len(content),
        "encoding": encoding,
        "content": shown,
        "file": None,
        "error": None,
    }


def test_what_calls_itself_json_and_is_none_is_text(raincheck, succeeded):
    """As the function wrote it."""
    found = document(raincheck("result", succeeded(b"{broken", "application/json", kept_as="file"), "--json"))
    assert (found["encoding"], found["content"]) == ("text", "{broken")


@pytest.mark.parametrize("kept_as", ["body", "file"])
def test_a_result_in_a_file_is_named(raincheck, succeeded, tmp_path, kept_as):
    """The bytes are in the file and not in the object."""
    operation, file = succeeded(b"\x00\xff", "image/png", kept_as=kept_as), tmp_path / "picture.png"
    found = document(raincheck("result", operation, "--json", "-o", file))
    assert file.read_bytes() == b"\x00\xff"
    assert (found["file"], found["size"], found["content"], found["encoding"]) == (str(file), 2, None, None)


def test_no_result_is_an_object_with_the_reason(raincheck, fill):
    """The exit code says so too; nothing is on stderr, since nothing was wrong with the command."""
    failed = fill(lambda store: brought_to(store, Status.FAILED)).id
    result = raincheck("result", failed, "--json")
    found = document(result)
    assert (result.exit_code, result.stderr) == (3, "")
    assert (found["status"], found["content"]) == ("failed", None)
    assert found["error"]["title"]
    running = raincheck("result", fill(lambda store: brought_to(store, Status.RUNNING)).id, "--json")
    assert (running.exit_code, document(running)["error"]) == (3, None)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_file_that_cannot_be_written_is_a_wrong_argument(raincheck, succeeded, tmp_path, options):
    """One line that names it, instead of a traceback."""
    result = raincheck("result", succeeded(b"1", "application/json"), "-o", tmp_path / "no" / "file", *options)
    assert result.exit_code == 2
    assert "cannot be written (No such file or directory)" in result.stderr
    assert len(result.stderr.splitlines()) == 1


# --- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["show", NOBODY], 1, "store-error"),
        (["ls", "--status", "lost"], 2, "usage-error"),
        (["ls", "--limit", "many"], 2, "usage-error"),
        (["ls", "--bogus"], 2, "usage-error"),
        (["show"], 2, "usage-error"),
        (["lss"], 2, "usage-error"),
        (["webhooks", "enable"], 2, "usage-error"),
        (["worker", "no_such_module:rain"], 2, "usage-error"),
        (["run", "/reports"], 2, "usage-error"),
    ],
)
def test_an_error_is_one_object_on_stderr(raincheck, path, arguments, code, error):
    """Whatever is wrong, also what the parser finds; the exit code is that of the words."""
    result = raincheck(*arguments, "--json")
    assert (result.exit_code, result.stdout) == (code, "")
    found = json.loads(result.stderr)
    assert found["error"]["code"] == error
    assert found["error"]["message"]
    assert raincheck(*arguments).exit_code == code


def test_what_cannot_be_changed_is_one_object_each(raincheck, fill):
    """With the operation's id, so that a script can tell which."""
    done = fill(lambda store: brought_to(store, Status.SUCCEEDED)).id
    result = raincheck("cancel", done, NOBODY, "--json")
    refused = [json.loads(line)["error"] for line in result.stderr.splitlines()]
    assert (result.exit_code, result.stdout) == (1, "")
    assert [(each["operation"], each["code"]) for each in refused] == [
        (done, "operation-finished"),
        (NOBODY, "operation-not-found"),
    ]


# --- completion -------------------------------------------------------------------------------------------------


def test_completion_can_be_installed(tmp_path):
    """``--install-completion`` writes what a new bash reads, and that bash completes commands and options."""
    command = Path(sys.executable).with_name("raincheck")
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}
    settings = {"env": environment, "capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run([command, "--install-completion", "bash"], check=True, **settings)
    assert "bash completion installed" in done.stdout
    script = """
        source ~/.bashrc
        function=$(complete -p raincheck | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        COMP_WORDS=(raincheck webhooks re) COMP_CWORD=2; $function raincheck; echo "${COMPREPLY[@]}"
        COMP_WORDS=(raincheck result --js) COMP_CWORD=2; $function raincheck; echo "${COMPREPLY[@]}"
    """
    shell = subprocess.run(["bash", "--norc", "-c", script], check=True, **settings)
    assert shell.stdout.split() == ["redeliver", "--json"], shell.stderr
