"""The command `raincheck`, for `python -m`."""

from __future__ import annotations

from raincheck.cli import main

if __name__ == "__main__":
    main()
