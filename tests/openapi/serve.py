"""Serve a test application on its parent's socket: ``python -m tests.openapi.serve FD STORE [owned] [broken]``."""

from __future__ import annotations

import sys

import uvicorn
from starlette.responses import JSONResponse

from tests.openapi.application import application


def main() -> None:
    """Serve until the process is told to end."""
    fd, store, *words = sys.argv[1:]
    app = application(store=store, owned="owned" in words)
    if "broken" in words:
        app.add_api_route("/broken", lambda: JSONResponse({}, 207), methods=["GET"])
    uvicorn.run(app, fd=int(fd), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
