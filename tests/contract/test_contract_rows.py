"""Every row of docs/contract.md is a test, and every test at the top of a module here is a row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONTRACT = HERE.parents[1] / "docs" / "contract.md"
ROW = re.compile(r"\| `(\w+)` \|")


def rows(text):
    """Return the first cells of the tables whose first column is named ``test``."""
    found = []
    in_tests = False
    for line in text.splitlines():
        if not line.startswith("|"):
            in_tests = False
        elif line.startswith("| test |"):
            in_tests = True
        elif in_tests and (row := ROW.match(line)):
            found.append(row[1])
    return found


def names_in(source):
    """Return the names of a module's test functions; edges are methods of classes."""
    return [
        node.name.removeprefix("test_")
        for node in ast.parse(source).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
    ]


class TestRows:
    """The page and the tests say the same."""

    def test_every_row_is_a_test_and_every_test_a_row(self):
        """A row without a test fails here, and so does a test whose row is gone."""
        written = rows(CONTRACT.read_text(encoding="utf-8"))
        tested = [
            name for file in sorted(HERE.glob("test_*.py")) for name in names_in(file.read_text(encoding="utf-8"))
        ]
        assert len(written) > 40
        assert len(set(written)) == len(written)
        assert sorted(tested) == sorted(written)

    def test_the_search_reads_rows_and_tests(self):
        """The check above can fail."""
        page = "| field | type |\n|---|---|\n| `id` | x |\n\n| test | a |\n|---|---|\n| `one` | x |\n| `two` | x |\n"
        assert rows(page) == ["one", "two"]
        assert names_in("def test_one(): ...\nclass A:\n    def test_edge(self): ...\ndef two(): ...\n") == ["one"]
