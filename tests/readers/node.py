"""EventSources of Node, pinned in ``package.json``, where node, npm and the registry are there."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
READERS = ("eventsource", "eventsource-client", "undici")
_UNREACHABLE = ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ECONNRESET", "network")


class Missing(Exception):
    """Something that the readers need is not there."""


def installed(folder: Path, *, source: Path = HERE, program: str = "node_reader.mjs") -> Path:
    """Install the packages that are pinned beside a program, and return the folder.

    :raises Missing: no node, no npm, or no registry.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Missing("node and npm are not installed")
    for name in ("package.json", "package-lock.json", program):
        shutil.copy(source / name, folder)
    install = [npm, "ci", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000"]
    try:
        run = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False, timeout=90)
    except subprocess.TimeoutExpired:
        raise Missing("the npm registry does not answer") from None
    if run.returncode and any(word in run.stderr for word in _UNREACHABLE):
        raise Missing("the npm registry is not reachable")
    assert run.returncode == 0, run.stderr
    return folder


def read(folder: Path, library: str, port: int, operation_id: str, name: str) -> list[tuple[str, str, str]]:
    """Read with one of the libraries, in a process of its own."""
    url = f"http://127.0.0.1:{port}/operations/{operation_id}/events?after=0&reader={name}"
    command = ["node", "--no-warnings", "node_reader.mjs", library, url]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=90)
    assert run.returncode == 0, run.stderr + run.stdout[-500:]
    return [tuple(json.loads(line)) for line in run.stdout.splitlines()]


def readers(folder: Path) -> dict[str, partial[list[tuple[str, str, str]]]]:
    """Return the readers by name."""
    return {f"node-{library}": partial(read, folder, library) for library in READERS}
