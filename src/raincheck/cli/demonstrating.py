"""``raincheck demo``: the first thing a newcomer runs, perhaps without the packages that it needs."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

import typer

from raincheck.cli.ending import UsageError

if TYPE_CHECKING:
    from pathlib import Path

# What the demo imports of the extra, and which package brings it; httptools, uvloop and websockets it does without.
NEEDED = {
    "anyio": "anyio",
    "httpcore2": "httpcore2",
    "httpx2": "httpx2",
    "idna": "idna",
    "numpy": "numpy",
    "PIL": "pillow",
    "standardwebhooks": "standardwebhooks",
    "uvicorn": "uvicorn",
}


def run_demo(*, port: int, receiver_port: int | None, data: Path | None, as_json: bool) -> None:
    """Run the demo until Ctrl-C and leave with its exit status.

    :raises UsageError: the extra is not installed.
    :raises ConfigurationError: a port or the folder cannot be used.
    """
    missing = [package for module, package in NEEDED.items() if find_spec(module) is None]
    if missing:
        msg = (
            f"The demo needs packages that are not installed: {', '.join(missing)}. Install them: "
            "pip install 'raincheck[demo]'."
        )
        raise UsageError(msg)
    if data is not None:
        os.environ["DEMO_DATA"] = str(data.absolute())
    from raincheck.demo.launcher import launch  # noqa: PLC0415 - its packages are an extra

    raise typer.Exit(launch(port=port, receiver_port=receiver_port, as_json=as_json))
