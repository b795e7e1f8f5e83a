"""Every test says which behaviour it holds."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUITES = (ROOT / "tests", ROOT / "src" / "raincheck" / "testing")


def undocumented(source):
    """Yield the names of test functions, of modules and classes, that have no docstring."""
    for node in ast.walk(ast.parse(source)):
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if is_function and node.name.startswith("test") and ast.get_docstring(node) is None:
            yield node.name


def test_every_test_has_a_docstring():
    """A test without a sentence cannot be judged when it fails."""
    missing = [
        f"{file.relative_to(ROOT)}: {name}"
        for suite in SUITES
        for file in sorted(suite.rglob("*.py"))
        for name in undocumented(file.read_text(encoding="utf-8"))
    ]
    assert missing == []


def test_the_search_finds_a_test_without_a_docstring():
    """The check above can fail."""
    source = "class TestIt:\n    async def test_a(self): ...\n    def test_b(self):\n        'Says.'\n"
    assert list(undocumented(source)) == ["test_a"]
