"""Write the table of docs/settings.md from ``raincheck.Settings``.

python tools/generate_settings.py            # write the page
python tools/generate_settings.py --check    # fail if the page is out of date
"""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from raincheck.settings import Settings, Size

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
BEGIN = "<!-- generated from settings.py by tools/generate_settings.py: do not edit below -->"
END = "<!-- generated: end -->"

_SIZES = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def default_of(field: FieldInfo) -> str:
    """Return a default as an operator would write it; what depends on the machine is told by the description."""
    if field.default_factory is not None:
        return "by the machine"
    value = field.default
    match value:
        case "":
            return "empty"
        case bool():
            return f"`{str(value).lower()}`"
        case timedelta():
            return f"`{value.total_seconds():g}s`"
        case int() if field.metadata and field.metadata[-1] in Size.__metadata__:  # type: ignore[attr-defined]
            return next(f"`{value // size}{unit}`" for unit, size in _SIZES if value % size == 0)
    return f"`{value}`"


def table() -> list[str]:
    """Return a row for each setting."""
    prefix = Settings.model_config["env_prefix"]
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        if not field.description:
            msg = f"Settings.{name} has no description; write one, it is the documentation"
            raise SystemExit(msg)
        lines.append(f"| `{prefix}{name.upper()}` | {default_of(field)} | {field.description} |")
    return lines


def page(current: str) -> str:
    """Return the page with its generated part replaced; what stands around it is kept."""
    before, found, rest = current.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        msg = f"{PAGE.name} has lost its markers; put these two lines where the table belongs:\n{BEGIN}\n{END}"
        raise SystemExit(msg)
    return f"{before}{BEGIN}\n\n" + "\n".join(table()) + f"\n\n{END}{after}"


def main() -> int:
    """Write or check the page; return the exit status."""
    parser = argparse.ArgumentParser(description="Generate the table of docs/settings.md from Settings.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is out of date")
    checks = parser.parse_args().check
    current = PAGE.read_text(encoding="utf-8")
    wanted = page(current)
    if wanted == current:
        return 0
    if checks:
        print(f"{PAGE} is out of date with settings.py; run: python tools/generate_settings.py")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
