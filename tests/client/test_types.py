"""The client's types, as a user's type checker sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("typed_program.py")
MISTAKES = 7

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def checked(program, folder):
    """Return what mypy says of a program, as of one that uses the installed package."""
    command = [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", "--config-file", "pyproject.toml"]
    done = subprocess.run(
        [*command, "--cache-dir", str(folder / "cache"), str(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    return done.stdout


def test_programs_are_typed(tmp_path):
    """Results are what was asked for, on both sides; each mistake is found.

    Its twin shows that the check can fail: a mistake that is no longer one, and a result that is of another type.
    """
    text = PROGRAM.read_text(encoding="utf-8")
    assert text.count("# type: ignore[") == MISTAKES
    twin = text.replace("client.submit(3)", 'client.submit("3")').replace("Report, json={", "int, json={")
    other = tmp_path / "twin.py"
    other.write_text(twin, encoding="utf-8")
    assert "Success: no issues found in 1 source file" in checked(PROGRAM, tmp_path)
    said = checked(other, tmp_path)
    assert 'Unused "type: ignore" comment' in said
    assert 'Expression is of type "int", not "Report"' in said
    assert "Found 2 errors" in said
