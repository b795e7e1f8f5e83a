"""The SQL of the SQLite store, one statement a file."""

from __future__ import annotations

from importlib.resources import files


def statement(name: str) -> str:
    """Return the text of a statement."""
    return files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
