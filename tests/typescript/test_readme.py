"""The programs of the client's README compile, and its example prints what the page says."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import blocks
from tests.openapi.server import served
from tests.typescript.test_client import type_check, typed
from tests.typescript.workspace import CLIENT, run, tool

__all__ = ["typed"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
README = CLIENT / "README.md"
COMPILE = ["--strict", "--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext"]


def test_every_program_compiles(typed):
    """With --strict, beside the types of an application."""
    programs = [*blocks(README, "ts"), *blocks(README, "tsx")]
    assert len(programs) == 4
    for number, block in enumerate(programs):
        name = f"readme{number}.{'tsx' if 'React' in block.text or 'jsx' in block.text or '<p' in block.text else 'ts'}"
        (typed / name).write_text(block.text, encoding="utf-8")
        said = type_check(typed, program=name)
        assert said.returncode == 0, said.stdout


def test_the_example_prints_what_the_page_says(typed):
    """Against the application that the page names, as real requests."""
    example = blocks(README, "ts")[0]
    (typed / "example.ts").write_text(example.text, encoding="utf-8")
    said = run(tool("tsc"), *COMPILE, "--types", "node", "example.ts", cwd=typed)
    assert said.returncode == 0, said.stdout
    (typed / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    with served() as url:
        said = run("node", "example.js", cwd=typed, URL=url)
    assert said.returncode == 0, said.stderr
    (expected,) = blocks(README, "text")
    assert said.stdout.strip() == expected.text.strip()
    assert re.search(r"^succeeded", said.stderr, re.MULTILINE)
