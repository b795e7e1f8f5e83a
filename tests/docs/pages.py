"""The code that the documentation shows: finding it, running it, comparing what it prints."""

from __future__ import annotations

import re
import runpy
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
GUIDE = ROOT / "docs" / "guide.md"
OPENAPI_PAGE = ROOT / "docs" / "openapi.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ID = re.compile(r"op_[0-9A-HJKMNP-TV-Z]{32}")


@dataclass(frozen=True)
class Block:
    """A fenced block and where it begins."""

    page: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page.stem}-line-{self.line}"


def blocks(page: Path, language: str) -> list[Block]:
    """Return the blocks of one language."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[2])
        for found in _FENCED.finditer(text)
        if found[1] == language
    ]


def run_program(block: Block, folder: Path) -> None:
    """Do what ``python program.py`` does; the lines of a traceback are those of the page."""
    program = folder / "program.py"
    program.write_text("\n" * block.line + block.text, encoding="utf-8")
    runpy.run_path(str(program), run_name="__main__")


@dataclass(frozen=True)
class Step:
    """A command at a prompt and what the page says it prints."""

    command: str
    expected: str


def session(block: Block) -> list[Step]:
    """Return the commands of a ``console`` block, without their comments."""
    found = []
    for step in re.split(r"(?m)^\$ ", block.text)[1:]:
        command, _, expected = step.partition("\n")
        found.append(Step(re.sub(r"\s{2,}#.*", "", command).strip(), expected.strip()))
    return found


class Ids:
    """Which ids of this session stand for those that the page shows."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def filled(self, command: str) -> str:
        """Return the command with the ids of this session."""
        return _ID.sub(lambda found: self._real[found[0]], command)

    def assert_matches(self, expected: str, printed: str) -> None:
        """Compare; ``…`` is any text within a line, on a line of its own any number of lines."""
        shown: list[str] = []
        match = re.fullmatch(self._pattern(expected, shown), printed.replace("\r", "").strip())
        assert match, f"--- the page says\n{expected}\n--- printed\n{printed}"
        self._real.update(zip(shown, match.groups(), strict=True))

    def _pattern(self, expected: str, shown: list[str]) -> str:
        lines = []
        for line in expected.splitlines():
            if line == "…":
                lines.append(r"(?:.*(?:\n|\Z))*?")
                continue
            pattern, position = "", 0
            for found in _ID.finditer(line):
                pattern += _any_text(line[position : found.start()]) + self._id(found[0], shown)
                position = found.end()
            lines.append(pattern + _any_text(line[position:]) + r"(?:\n|\Z)")
        return "".join(lines)

    def _id(self, name: str, shown: list[str]) -> str:
        if name in self._real:
            return re.escape(self._real[name])
        if name in shown:
            return rf"\{shown.index(name) + 1}"
        shown.append(name)
        return rf"({_ID.pattern})"


def _any_text(text: str) -> str:
    return ".*".join(re.escape(part) for part in text.split("…"))
