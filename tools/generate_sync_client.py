"""Write src/raincheck/client/_sync from the asynchronous side, so that both do the same.

python tools/generate_sync_client.py            # write the files
python tools/generate_sync_client.py --check    # fail if one is out of date
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parent.parent / "src" / "raincheck" / "client"
SOURCE, TARGET = CLIENT / "_async", CLIENT / "_sync"
NOTE = "# Generated from ../_async by tools/generate_sync_client.py: change the asynchronous side.\n"
RULES = [
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\baclosing\b", "closing"),
    (r"\baclose\b", "close"),
    (r"\baread\b", "read"),
    (r"\baiter(?=\b|_)", "iter"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\bimport anyio\b", "import time"),
    (r"\banyio\.sleep\b", "time.sleep"),
    (r"\bclient\._async\b", "client._sync"),
]


def synchronous(text: str, name: str) -> str:
    """Return the synchronous form of a module."""
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    text = _ruff("check", "--quiet", "--select=I", "--fix", "--stdin-filename", name, "-", text=NOTE + text)
    return _ruff("format", "--quiet", "--stdin-filename", name, "-", text=text)


def _ruff(*arguments: str, text: str) -> str:
    command = [str(Path(sys.executable).parent / "ruff"), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=TARGET.parent).stdout


def main() -> int:
    """Write or check the files; return the exit status."""
    parser = argparse.ArgumentParser(description="Generate the synchronous client from the asynchronous one.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    checks = parser.parse_args().check
    TARGET.mkdir(exist_ok=True)
    wanted = {
        TARGET / source.name: synchronous(source.read_text(encoding="utf-8"), str(TARGET / source.name))
        for source in sorted(SOURCE.glob("*.py"))
    }
    outdated = [file for file, text in wanted.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    outdated += [file for file in TARGET.glob("*.py") if file not in wanted]
    if checks:
        for file in outdated:
            print(f"{file} is out of date with the asynchronous side; run: python tools/generate_sync_client.py")
        return int(bool(outdated))
    for file in outdated:
        if file in wanted:
            file.write_text(wanted[file], encoding="utf-8")
        else:
            file.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
