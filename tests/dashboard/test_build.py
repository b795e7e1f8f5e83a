"""The page's built files are those of its source, so that users need no Node."""

from __future__ import annotations

import pytest

from raincheck.dashboard.page import STATIC
from tests.typescript.workspace import DASHBOARD, require_packages, run, tool

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def files(folder):
    """Return the content of each file by its path."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_fresh_build_gives_the_committed_files(tmp_path):
    """``npm run build --workspace dashboard`` writes them."""
    require_packages()
    said = run(tool("vite"), "build", "--outDir", tmp_path, "--emptyOutDir", cwd=DASHBOARD)
    assert said.returncode == 0, said.stderr
    made, kept = files(tmp_path), files(STATIC)
    assert made.keys() == kept.keys()
    assert [name for name in made if made[name] != kept[name]] == []
    assert sum(len(content) for content in kept.values()) < 256 * 1024


def test_the_source_has_no_type_errors_and_no_warnings():
    """svelte-check, accessibility hints included."""
    require_packages()
    said = run(tool("svelte-check"), "--tsconfig", "tsconfig.json", "--fail-on-warnings", cwd=DASHBOARD)
    assert said.returncode == 0, said.stdout
    assert "0 errors and 0 warnings" in said.stdout


def test_the_page_shows_text_as_text():
    """Nothing in the source turns data into markup."""
    sources = [file.read_text(encoding="utf-8") for file in (DASHBOARD / "src").rglob("*") if file.is_file()]
    assert len(sources) > 15
    for dangerous in ("{@html", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert not [source for source in sources if dangerous in source], dangerous
