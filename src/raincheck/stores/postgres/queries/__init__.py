"""The SQL of the PostgreSQL store, one statement a file."""

from __future__ import annotations

from importlib.resources import files


def statement(name: str, *, schema: str, columns: str = "") -> str:
    """Return the text of a statement for one schema."""
    text = files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    return text.replace("{schema}", schema).replace("{columns}", columns)
