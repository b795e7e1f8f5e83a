"""The session that docs/demo-transcript.md shows is a session that happens."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.demo.running_demo import RunningDemo

TRANSCRIPT = Path(__file__).resolve().parents[2] / "docs" / "demo-transcript.md"
SHOWN_ADDRESS = "http://127.0.0.1:8000"
MARK = "--- end of command ---"

pytestmark = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")


def steps(text):
    """Return (command, expected output) for each prompt in the ``console`` blocks."""
    found = []
    for block in re.findall(r"(?ms)^```console\n(.*?)^```", text):
        for step in re.split(r"(?m)^\$ ", block)[1:]:
            lines = step.splitlines()
            count = 1
            while lines[count - 1].endswith("\\"):
                count += 1
            found.append(("\n".join(lines[:count]), "\n".join(lines[count:])))
    return found


def as_pattern(expected):
    """``…`` stands for any text within a line; on a line of its own, for any number of lines."""
    pattern = ""
    for line in expected.splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in line.split("…")) + r"\n"
    return pattern


class Shell:
    """One bash session, so that variables and functions of the transcript last."""

    def __init__(self, folder):
        self.bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command):
        """Return what the command printed, ending with a newline unless it is empty."""
        self.bash.stdin.write(f"{command}\nprintf '\\n%s\\n' '{MARK}'\n")
        self.bash.stdin.flush()
        output = ""
        while not output.endswith(f"{MARK}\n"):
            line = self.bash.stdout.readline()
            assert line, f"bash ended:\n{output}"
            output += line
        output = output.removesuffix(f"\n{MARK}\n").replace("\r", "")
        return output if output.endswith("\n") or not output else f"{output}\n"

    def close(self):
        """End the session."""
        self.bash.kill()
        self.bash.communicate()


@pytest.fixture
def shell(tmp_path):
    shell = Shell(tmp_path)
    yield shell
    shell.close()


@pytest.fixture
def demo(tmp_path):
    demo = RunningDemo(tmp_path / "data")
    demo.wait_for("Ctrl-C ends the demo")
    yield demo
    demo.kill_all()


@pytest.mark.timeout(300)
def test_every_command_of_the_transcript_answers_as_shown(demo, shell):
    """Whoever pastes the session into a terminal sees what is printed there, ids, times and numbers aside."""
    session = steps(TRANSCRIPT.read_text(encoding="utf-8"))
    assert len(session) > 10
    for command, expected in session:
        printed = shell.run(command.replace(SHOWN_ADDRESS, demo.url)).replace(demo.url, SHOWN_ADDRESS)
        assert re.fullmatch(as_pattern(expected), printed), f"$ {command}\n--- expected\n{expected}\n--- got\n{printed}"


def test_the_comparison_can_fail():
    """Placeholders match what varies and nothing else."""
    assert re.fullmatch(as_pattern('{"id": "op_…"}\n…\nend'), '{"id": "op_1"}\na\nb\nend\n')
    assert not re.fullmatch(as_pattern('{"id": "op_…"}'), '{"id": "op_1", \n"x": 1}\n')
    assert not re.fullmatch(as_pattern("a\nend"), "a\nb\nend\n")
