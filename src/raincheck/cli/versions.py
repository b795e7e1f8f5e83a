"""``raincheck version``: what a report of a problem should name."""

from __future__ import annotations

import json
import platform
import sqlite3
from importlib.metadata import version

import raincheck


def print_versions(*, as_json: bool) -> None:
    """Print the versions of Raincheck and of what it stands on."""
    found = {
        "raincheck": raincheck.__version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "fastapi": version("fastapi"),
        "platform": platform.platform(),
    }
    if as_json:
        print(json.dumps(found))
    else:
        print(
            f"raincheck {found['raincheck']} (Python {found['python']}, SQLite {found['sqlite']}, "
            f"FastAPI {found['fastapi']}, {found['platform']})"
        )
